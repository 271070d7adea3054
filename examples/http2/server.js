// openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=localhost \
//   -keyout key.pem -out cert.pem
const Cluster = require('cluster2-rs');
const fs = require('node:fs');
const http2 = require('node:http2');

const [key, cert] = ['key.pem', 'cert.pem'].map((name) => fs.readFileSync(name));
const secure = { key, cert, allowHTTP1: true };
const server = http2.createSecureServer(secure, (req, res) => res.end(`hello from ${process.pid}`));

new Cluster({ port: 3000 }).listen((callback) => callback(server));
