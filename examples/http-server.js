var Cluster = require('cluster2-rs'),
    cluster = require('cluster'),
    http = require('http');

var server = http.createServer(function (req, res) {
    res.writeHead(200);
    res.end('hello');
});

var c = new Cluster({
    port: 3000
});
c.listen(function(cb) {
    cb(server);
}, function() {
    // This is called in the master and in each worker; one word of advice is enough.
    if (cluster.isWorker) return;
    console.log('Master ' + process.pid + ' and its workers listen on http://localhost:3000/. Try:');
    console.log('  curl http://localhost:3000/');
    console.log('  http://localhost:3001/      (the monitor; the health check is at http://localhost:3000/ecv)');
    console.log('  node examples/shutdown.js   (finishes all requests; Ctrl-C does the same)');
    console.log('  node examples/stop.js       (ends at once)');
});
