'use strict';

// The container examples: the Kubernetes manifest and the Dockerfile against the server of the
// example, and the number of workers under a container's limits.

const assert = require('node:assert');
const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { parseAllDocuments } = require('yaml');
const { request } = require('../helpers/client');
const { CLI, Script } = require('../helpers/cluster');
const { setUp, tearDown, copyOf } = require('../helpers/examples');
const { freePort } = require('../helpers/ports');
const { until } = require('../helpers/wait');

const FILES = path.join(__dirname, '..', '..', 'examples', 'container');
const read = (name) => fs.readFileSync(path.join(FILES, name), 'utf8');

/**
 * Returns the documents of the manifest. Throws if one is not valid YAML or has a duplicate key.
 */
function manifest() {
  const documents = parseAllDocuments(read('kubernetes.yaml'), { uniqueKeys: true });
  for (const { errors, warnings } of documents)
    assert.deepStrictEqual([...errors, ...warnings], []);
  return documents.map((document) => document.toJS());
}

const [deployment, service] = manifest();
const { spec: pod, metadata } = deployment.spec.template;
const [container] = pod.containers;
const variables = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
const probes = ['startupProbe', 'readinessProbe', 'livenessProbe'].map((name) => container[name]);

describe('the manifest for Kubernetes', () => {
  it('names one app throughout', () => {
    const names = container.ports.map(({ name }) => name);
    for (const { httpGet } of probes) assert.ok(names.includes(httpGet.port));
    assert.ok(names.includes(service.spec.ports[0].targetPort));
    assert.deepStrictEqual(service.spec.selector, metadata.labels);
    assert.deepStrictEqual(deployment.spec.selector.matchLabels, metadata.labels);
    assert.deepStrictEqual(
      container.volumeMounts.map(({ name }) => name),
      pod.volumes.map(({ name }) => name),
    );
    assert.ok(container.volumeMounts.some(({ mountPath }) => mountPath === variables.PIDS));
    for (const value of Object.values(variables))
      assert.strictEqual(typeof value, 'string', 'Kubernetes takes no other');
  });

  it('allows for shutdownTimeout, and has a delay long enough for the probe', () => {
    const { SHUTDOWN_DELAY, SHUTDOWN_TIMEOUT } = variables;
    assert.ok(
      pod.terminationGracePeriodSeconds * 1000 > Number(SHUTDOWN_DELAY) + Number(SHUTDOWN_TIMEOUT),
    );
    const { periodSeconds, failureThreshold } = container.readinessProbe;
    assert.ok(Number(SHUTDOWN_DELAY) > 1000 * periodSeconds * failureThreshold);
    assert.strictEqual(container.lifecycle, undefined, 'preStop would only be one more delay');
  });

  describe('and the server of the example', () => {
    before(setUp);
    after(tearDown);

    it('agree: all probes succeed, and after SIGTERM only readiness fails', async () => {
      const [http, monitor] = [await freePort(), await freePort()];
      const ports = { http, monitor };
      const { file, directory } = copyOf('container/server.js');
      const env = {
        ...variables,
        PORT: String(http),
        MON_PORT: String(monitor),
        PIDS: path.join(directory, 'run'),
        SHUTDOWN_DELAY: '1000',
      };
      const script = new Script(file, { cwd: directory, env });
      const ask = ({ httpGet }) =>
        request(ports[httpGet.port], httpGet.path).catch(() => ({ status: 'none' }));
      for (const probe of probes)
        await script.until('the probe succeeds', async () => (await ask(probe)).status === 200);
      assert.strictEqual(
        (await request(monitor, metadata.annotations['prometheus.io/path'])).status,
        200,
      );
      script.kill();
      const [, readiness, liveness] = probes;
      await until('readiness fails', async () => (await ask(readiness)).status === 400);
      assert.strictEqual((await ask(liveness)).status, 200);
      assert.strictEqual((await request(http)).status, 200);
      assert.deepStrictEqual(await script.ended(), { code: 0, signal: null });
      assert.deepStrictEqual(
        fs.readdirSync(directory).sort(),
        ['logs', 'run', 'server.js'],
        'nothing else is written',
      );
      assert.deepStrictEqual(
        fs.readdirSync(path.join(directory, 'logs')),
        [],
        'logs is for the app',
      );
    });
  });
});

describe('the Dockerfile', () => {
  it('makes the master process 1, with commands as lists, and exposes the same ports', () => {
    const text = read('Dockerfile').replace(/\\\n/g, ' ');
    const lists = [...text.matchAll(/\bCMD (.*)$/gm)].map(([, list]) => JSON.parse(list));
    assert.strictEqual(lists.length, 2);
    assert.deepStrictEqual(lists.at(-1), ['node', 'server.js']);
    const [ports] = [...text.matchAll(/^EXPOSE (.*)$/gm)].map(([, list]) =>
      list.split(' ').map(Number),
    );
    assert.deepStrictEqual(
      ports,
      container.ports.map(({ containerPort }) => containerPort),
    );
    const [, user] = /^USER (.*)$/m.exec(text);
    assert.strictEqual(user, 'node');
  });
});

describe('the Dockerfile for cluster2 start', () => {
  before(setUp);
  after(tearDown);

  it('makes the native master process 1, with options that it takes, and serves', async () => {
    const text = read('Dockerfile.start').replace(/\\\n/g, ' ');
    const lists = [...text.matchAll(/\bCMD (.*)$/gm)].map(([, list]) => JSON.parse(list));
    const [program, ...args] = lists.at(-1);
    assert.strictEqual(program, 'node_modules/.bin/cluster2');
    const [app, monitor] = [await freePort(), await freePort()];
    const env = Object.fromEntries(
      [...text.matchAll(/^ENV (.*)$/gm)].flatMap(([, line]) =>
        line.split(' ').map((pair) => pair.split('='))),
    );
    assert.strictEqual(env.CLUSTER2_REQUIRE_NATIVE, '1');
    Object.assign(env, { CLUSTER2_PORT: String(app), CLUSTER2_MON_PORT: String(monitor) });
    const { directory } = copyOf('container/plain-server.js');
    const master = spawn(CLI, args, { cwd: directory, env: { ...process.env, ...env } });
    try {
      await until('it serves', async () => (await request(app, '/').catch(() => ({}))).status === 200);
      assert.strictEqual((await request(monitor, '/status.json')).status, 200);
      assert.strictEqual((await request(app, '/ecv')).status, 200);
    } finally {
      master.kill();
      const [code] = await once(master, 'exit');
      assert.strictEqual(code, 0);
    }
  });
});

describe('the number of workers in a cgroup', () => {
  const CPU = '/sys/fs/cgroup/cpu';
  const V2 = '/sys/fs/cgroup';
  const name = `cluster2-test-${process.pid}`;
  const PERIOD = 100_000;
  let group;

  /** Makes a cgroup limited to `processors`. Returns `undefined` if that is not allowed. */
  function limit(processors) {
    const quota = processors * PERIOD;
    const ways = [
      [path.join(CPU, name), 'cpu.cfs_quota_us', `${quota}`],
      [path.join(V2, name), 'cpu.max', `${quota} ${PERIOD}`],
    ];
    for (const [directory, file, value] of ways) {
      try {
        fs.mkdirSync(directory, { recursive: false });
        group = directory;
        fs.writeFileSync(path.join(directory, file), value, { flag: 'r+' });
        return directory;
      } catch {
        remove();
      }
    }
    return undefined;
  }

  function remove() {
    if (group && fs.existsSync(group)) fs.rmdirSync(group);
    group = undefined;
  }

  afterEach(remove);

  const code = `console.log(require(${JSON.stringify(require.resolve('../../lib/options'))}).normalize({}).noWorkers)`;
  const script = 'echo $$ > "$0/cgroup.procs" && exec "$1" -e "$2"';

  const TWO = Math.min(2, os.availableParallelism());
  for (const [processors, workers] of [[1, 1], [1.5, 1], [0.2, 1], [2, TWO]]) {
    it(`is ${workers} with ${processors} processors (needs a cgroup)`, function () {
      if (!limit(processors)) this.skip();
      assert.strictEqual(
        execFileSync('sh', ['-c', script, group, process.execPath, code], { encoding: 'utf8' }),
        `${workers}\n`,
      );
    });
  }
});
