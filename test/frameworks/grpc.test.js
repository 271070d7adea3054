'use strict';

// gRPC by its own package, which serves HTTP/2 by the event `stream`. It is installed from its own
// lock file.

const assert = require('node:assert');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ask } = require('../helpers/ask');
const { Script } = require('../helpers/cluster');
const { INSTALL, install } = require('../helpers/own-packages');
const { freePort } = require('../helpers/ports');

const RELOADS = 4;

describe('a server of @grpc/grpc-js', () => {
  let home;
  let grpc;
  let Greeter;

  before(function () {
    this.timeout(INSTALL);
    home = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-grpc-'));
    install(path.join(__dirname, 'grpc'), home);
    grpc = require(path.join(home, 'node_modules', '@grpc', 'grpc-js'));
    Greeter = grpc.makeGenericClientConstructor(require(path.join(home, 'service.js')), 'Greeter');
  });
  after(() => fs.rmSync(home, { recursive: true, force: true }));

  /** Sends calls until it is stopped, and collects the failures. */
  class Client {
    unary = 0;
    streams = 0;
    pids = new Set();
    troubles = [];
    #greeter;
    #stopped = false;
    #running;

    constructor(port) {
      this.#greeter = new Greeter(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      });
      const questions = [() => this.#hello(0), () => this.#hello(30), () => this.#count(10)];
      this.#running = Promise.all(questions.map((question) => this.#run(question)));
    }

    async #run(ask) {
      while (!this.#stopped) await ask().catch(({ message }) => this.troubles.push(message));
    }

    async #hello(after) {
      const { pid } = await new Promise((resolve, reject) => {
        this.#greeter.hello({ after }, (error, answer) =>
          error ? reject(error) : resolve(answer),
        );
      });
      this.pids.add(pid);
      this.unary += 1;
    }

    async #count(to) {
      const counts = [];
      for await (const { count } of this.#greeter.count({ to })) counts.push(count);
      assert.deepStrictEqual(counts, Array.from({ length: to }, (_, index) => index + 1));
      this.streams += 1;
    }

    async stop() {
      this.#stopped = true;
      await this.#running;
      this.#greeter.close();
    }
  }

  it('loses no unary call and no stream in reloads, and exits with 0', async () => {
    const cwd = fs.mkdtempSync(path.join(home, 'run-'));
    const cli = ['--workers', '2', '--mon-port', 'off'];
    const script = await new Script(path.join(home, 'server.js'), {
      cwd,
      port: await freePort(),
      cli,
    }).ready();
    const clients = Array.from({ length: 3 }, () => new Client(script.port));
    for (let i = 0; i < RELOADS; i++) {
      const before = clients.map(({ unary, streams }) => [unary, streams]);
      const isGoing = ({ unary, streams }, index) =>
        unary > before[index][0] + 20 && streams > before[index][1];
      await script.until('all are answered', () => clients.every(isGoing));
      assert.deepStrictEqual((await ask(cwd, 'reload')).ok, { replaced: 2 });
    }
    await script.until('the old workers are gone', () => script.workers().length === 2);
    await Promise.all(clients.map((client) => client.stop()));
    assert.deepStrictEqual(
      clients.flatMap(({ troubles }) => troubles),
      [],
    );
    assert.ok(
      clients.every(({ pids }) => pids.size > RELOADS),
      'each client was moved on by each reload',
    );
    script.kill();
    assert.deepStrictEqual(await script.ended(), { code: 0, signal: null }, script.errors);
  });
});
