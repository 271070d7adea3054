// next.config.mjs puts this file into the directory that `next build` makes for
// `output: 'standalone'`. Run it instead of the server.js there.
const Cluster = require('cluster2-rs');
const { config } = require('./.next/required-server-files.json');

process.env.NODE_ENV = 'production';
process.chdir(__dirname);
// As Next's own server.js does: there is no next.config here, and nothing to compile one with.
process.env.__NEXT_PRIVATE_STANDALONE_CONFIG = JSON.stringify(config);

const app = require('next')({ dir: __dirname, conf: config });

new Cluster({ port: 3000 }).listen(async (callback) => {
  await app.prepare();
  callback(app.getRequestHandler());
});
