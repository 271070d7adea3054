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
    // This is called in the master and in each worker; print it once.
    if (cluster.isWorker) return;
    console.log('Master ' + process.pid + ' and its workers listen on port 3000. Try:');
    console.log('  curl http://localhost:3000/');
    console.log('  http://localhost:3000/ecv        (the health check)');
    console.log('  http://localhost:3001/           (the monitor)');
    console.log('  node examples/shutdown.js        (finishes all requests; Ctrl-C does the same)');
    console.log('  node examples/stop.js            (ends at once)');
});
