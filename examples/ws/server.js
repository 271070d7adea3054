const Cluster = require('cluster2-rs');
const http = require('node:http');
const { WebSocketServer } = require('ws');

const server = http.createServer((req, res) => res.end(`hello from ${process.pid}`));
const sockets = new WebSocketServer({ server });
sockets.on('connection', (socket) => {
  socket.on('message', (data) => socket.send(`${data} from ${process.pid}`));
});

// This worker leaves. A WebSocket may stay until shutdownTimeout; 1001 asks its client to
// connect again, to another worker.
server.on('close', () => sockets.clients.forEach((socket) => socket.close(1001)));

new Cluster({ port: 3000 }).listen((callback) => callback(server));
