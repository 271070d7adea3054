const Cluster = require('cluster2-rs');
const connect = require('connect');

const app = connect();
app.use((req, res) => res.end(`hello from ${process.pid}`));

new Cluster({ port: 3000 }).listen((callback) => callback(app));
