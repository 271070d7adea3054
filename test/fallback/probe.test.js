'use strict';

// The probe of `ecv.monitor` is the same with the addon and with its fallback.

const assert = require('node:assert');
const { once } = require('node:events');
const http = require('node:http');
const https = require('node:https');
const { selfSigned } = require('../helpers/certificate');
const { addon, fallback, monitorUri } = require('../helpers/fallback');

describe('the probe without the addon', () => {
  let server;
  let secure;
  before(async () => {
    const answer = (request, response) => {
      const kinds = {
        '/fine?deep=1': () => response.end(`${request.headers.host} ${request.headers.connection}`),
        '/moved': () => response.writeHead(302, { location: '/fine' }).end(),
        '/sick': () => response.writeHead(503).end('sick'),
        '/twice': () => response.setHeader('X-A', ['1', '2']).end('ok'),
        '/endless': () => response.write('x'.repeat(200_000)),
        '/silent': () => {},
        '/cut': () => response.writeHead(200, { 'content-length': 10 }).write('x', () => {
          request.socket.destroy();
        }),
        '/agent': () => response.end(request.headers['user-agent']),
      };
      response.sendDate = false;
      kinds[request.url]();
    };
    const { key, cert } = selfSigned();
    server = http.createServer(answer).listen(0, '127.0.0.1');
    secure = https.createServer({ key, cert }, answer).listen(0, '127.0.0.1');
    await Promise.all([once(server, 'listening'), once(secure, 'listening')]);
  });
  after(async () => {
    for (const one of [server, secure]) {
      one.closeAllConnections();
      await new Promise((closed) => one.close(closed));
    }
  });

  const run = async (...args) => JSON.parse(await monitorUri(...args).probe());
  const endpointOf = (one) => ({ address: '0.0.0.0', port: one.address().port, secure: one === secure });

  for (const where of ['/fine?deep=1', '/moved', '/sick', '/twice', '/endless', '/silent', '/agent']) {
    for (const kind of ['http', 'https', 'a URL']) {
      it(`finds the same at ${where} on ${kind}`, async () => {
        const endpoint = endpointOf(kind === 'https' ? secure : server);
        const monitor = kind === 'a URL' ? `http://127.0.0.1:${endpoint.port}${where}` : where;
        const ecv = { monitor, timeout: where === '/silent' ? 50 : 5000 };
        const wanted = await run(addon, ecv, endpoint);
        assert.deepStrictEqual(await run(fallback, ecv, endpoint), wanted);
        assert.ok(wanted.answered || wanted.problem);
      });
    }
  }

  it('says in the same words that it cannot ask', async () => {
    const gone = { path: '/nowhere/app.sock', secure: false };
    const { port } = secure.address();
    for (const [ecv, endpoint] of [
      [{ monitor: '/x?secret' }, gone],
      [{ monitor: '/cut' }, endpointOf(server)],
      [{ monitor: `https://127.0.0.1:${port}/fine` }, gone],
    ]) {
      const [wanted, found] = [await run(addon, ecv, endpoint), await run(fallback, ecv, endpoint)];
      const beginning = wanted.problem.slice(0, wanted.problem.indexOf(' cannot be asked: ') + 18);
      assert.ok(beginning.endsWith(' cannot be asked: '), wanted.problem);
      assert.ok(found.problem.startsWith(beginning), found.problem);
    }
    assert.deepStrictEqual(await run(fallback, {}, gone), await run(addon, {}, gone));
  });
});
