'use strict';

// Compatibility with scripts written for the original cluster2, and with modules that know
// `node:cluster`.

const assert = require('node:assert');
const EventEmitter = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const util = require('node:util');
const Cluster = require('../..');
const { request } = require('../helpers/client');
const { Script } = require('../helpers/cluster');
const { freePort } = require('../helpers/ports');

describe('a script written for the original cluster2', () => {
  const start = async () => new Script('original.js', { port: await freePort() }).ready();

  it('finds the directory logs, even if no option names it', async () => {
    const script = await start();
    assert.strictEqual(
      fs.readFileSync(path.join(script.cwd, 'logs', 'app.log'), 'utf8'),
      'hello\nhello\n',
    );
  });

  it('turns the health check off with `ecv: null`: the app serves /ecv', async () => {
    const script = await start();
    const options = JSON.parse((await request(script.port, '/ecv')).body);
    assert.deepStrictEqual(
      [options.ecv, options.connThreshold, options.noWorkers],
      [false, null, 2],
    );
  });

  it('receives workers’ messages on require("cluster"), and answers by worker.send()', async () => {
    const script = await start();
    await script.until(
      'both have their answers',
      () =>
        script.events({ allProcesses: true }).filter(([name]) => name === 'answered').length === 2,
    );
    const told = script.emitted('nodeMessage').sort();
    assert.deepStrictEqual(told.map(([, pid]) => pid).sort(), script.workers().sort());
    for (const [id, , message, withoutHandle] of told)
      assert.deepStrictEqual([message, withoutHandle], [{ topic: 'log', from: id }, true]);
    const answers = script.events({ allProcesses: true }).filter(([name]) => name === 'answered');
    for (const [, id, { answerTo }] of answers)
      assert.strictEqual(answerTo.from, id, 'each its own');
  });
});

describe('an instance of Cluster', () => {
  it('shows its options with the values in use', () => {
    const validator = () => true;
    const { options } = new Cluster({
      port: ['3000', '/tmp/app.sock'],
      uptimeThreshold: 0,
      ecv: { validator },
      monPort: '0',
    });
    assert.deepStrictEqual(
      [options.port, options.monPort, options.timeout],
      [[3000, '/tmp/app.sock'], 0, 30_000],
    );
    assert.deepStrictEqual(
      [options.uptimeThreshold, options.ecv.path, options.ecv.validator],
      [null, '/ecv', validator],
    );
    assert.deepStrictEqual(
      [options.pids, options.noWorkers],
      [path.resolve('pids'), Math.min(os.availableParallelism?.() ?? 1, 1024)],
    );
    const bare = new Cluster({ monPort: false, ecv: false }).options;
    assert.deepStrictEqual([bare.port, bare.monPort, bare.ecv], [3000, false, false]);
    assert.ok(!('ports' in bare) && !('validator' in bare));
  });

  it('may be of a subclass, even one with its own `options`', () => {
    class Mine extends Cluster {
      constructor(options) {
        super(options);
        this.options = options;
      }
    }
    const mine = new Mine({ port: 4000 });
    assert.deepStrictEqual(mine.options, { port: 4000 });
    assert.ok(mine instanceof Mine && mine instanceof Cluster && mine instanceof EventEmitter);
    assert.strictEqual(new Cluster().constructor, Cluster);
    assert.strictEqual(Cluster.name, 'Cluster');
  });

  it('is not made by Cluster.call(this) or without `new`; the error says what to write', () => {
    function Old(options) {
      Cluster.call(this, options);
    }
    util.inherits(Old, Cluster);
    for (const call of [() => new Old({}), () => Cluster({}), () => Cluster.apply({}, [])]) {
      assert.throws(call, {
        code: 'CLUSTER2_ERR_ARGUMENT_INVALID',
        message: /`new Cluster\(options\)`.*`class MyCluster extends Cluster`/,
      });
    }
  });
});
