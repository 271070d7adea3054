import { createAdaptorServer } from '@hono/node-server';
import Cluster from 'cluster2-rs';
import { Hono } from 'hono';

const app = new Hono();
app.get('/', (context) => context.text(`hello from ${process.pid}`));

new Cluster({ port: 3000 }).listen((callback) => callback(createAdaptorServer(app)));
