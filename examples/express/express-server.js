// For Express 2: npm install --no-save express@2.5.11
var Cluster = require('cluster2-rs'),
    express = require('express');

var app = express.createServer();
app.get('/', function(req, res) {
    res.send('hello');
});

var c = new Cluster({
    port: 3000,
});
c.listen(function(cb) {
    cb(app);
});
