const Cluster = require('cluster2-rs');
const Koa = require('koa');

const app = new Koa();
app.use((context) => {
  context.body = `hello from ${process.pid}`;
});

new Cluster({ port: 3000 }).listen((callback) => callback(app));
