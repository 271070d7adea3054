var Cluster = require('cluster2-rs');
var c = new Cluster();
c.shutdown();
