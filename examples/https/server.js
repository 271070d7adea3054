// openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost \
//   -keyout key.pem -out cert.pem
const Cluster = require('cluster2-rs');
const fs = require('node:fs');
const https = require('node:https');

const secure = { key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') };
const server = https.createServer(secure, (req, res) => res.end(`hello from ${process.pid}`));

new Cluster({ port: 3000 }).listen((callback) => callback(server));
