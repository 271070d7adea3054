// Express 3, 4 or 5.
const Cluster = require('cluster2-rs');
const express = require('express');

const app = express();
app.get('/', (req, res) => res.send(`hello from ${process.pid}`));

new Cluster({ port: 3000 }).listen((callback) => callback(app));
