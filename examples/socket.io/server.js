const Cluster = require('cluster2-rs');
const http = require('node:http');
const { Server } = require('socket.io');

const server = http.createServer((req, res) => res.end(`hello from ${process.pid}`));
const io = new Server(server);
io.on('connection', (socket) => {
  socket.on('hello', (name, answer) => answer(`hello ${name} from ${process.pid}`));
});

// This worker leaves: its clients connect again by themselves, to another one.
server.on('close', () => io.engine.close());

// All requests of a long-polling client must reach the same worker.
new Cluster({ port: 3000, balance: 'ip-hash' }).listen((callback) => callback(server));
