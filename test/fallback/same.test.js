'use strict';

// The fallback (lib/fallback) does the same as the addon: routes, bytes, switches, status and
// answers to commands.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { fromNative } = require('../../lib/errors');
const { date } = require('../../lib/fallback/answer');
const {
  addon, assertSame, check, fallback, resultOf, single,
} = require('../helpers/fallback');

const ENDPOINT = { address: '127.0.0.1', port: 1, secure: false };
const DATE = /[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d{4} \d\d:\d\d:\d\d GMT[+-]\d{4} \([^)]+\)/g;
/** An answer without its times: the two are not made in the same moment. */
const timeless = ({ headers, body, ...answer }) => ({
  ...answer,
  headers: headers.map((text) => text.replace(DATE, 'DATE')),
  body: body.replace(DATE, 'DATE'),
});

describe('the fallback for the addon', () => {
  it('has all that a process without workers uses, except what the monitor needs', () => {
    const methods = (one) => Object.getOwnPropertyNames(one.NativeSingle.prototype);
    const inherited = Object.getPrototypeOf(fallback.NativeSingle.prototype);
    const found = Object.getOwnPropertyNames(inherited);
    const needed = methods(addon).filter((name) => !['validated', 'visitorTaken'].includes(name));
    assert.deepStrictEqual(found.sort(), needed.sort());
    assert.deepStrictEqual(fallback.Route, addon.Route);
    assert.strictEqual(fallback.INHERITED, addon.INHERITED);
  });

  it('routes the same requests to the health check', () => {
    const targets = [
      '/ecv', '/ecv/', '/ecv?x=1', '/ecv#x', '/ecvs', '/ecv/x', '/ecv/disable', '/ecv/enable?now',
      '/',
      'http://example.com/ecv', 'HTTP://[::1]:3000/ecv?x', 'http://ecv', '/x://y/ecv', '*', '',
      'https://example.com/ecv/disable', '/ecv//', '//ecv', 'http://a/b?http://c/ecv',
    ];
    for (const ecv of [{}, { control: true }, { path: '/', control: true }, { path: '/a/b/' }]) {
      const checks = { addon: check(addon, ecv), fallback: check(fallback, ecv) };
      for (const method of ['GET', 'HEAD', 'POST', 'PUT']) {
        for (const target of [...targets, '/a/b', '/a/b/']) {
          const [wanted, found] = Object.values(checks).map((one) => one.route(method, target));
          assert.strictEqual(found, wanted, `${method} ${target} with ${JSON.stringify(ecv)}`);
        }
      }
    }
  });

  it('answers checks and switches with the same bytes', () => {
    const script = (one) => {
      const process = single(one, { ecv: { control: true } });
      const { ecv } = JSON.parse(one.normalizeOptions('{"ecv":{"control":true}}'));
      const made = process.healthCheck(JSON.stringify(ecv));
      const header = new Float64Array(process.header());
      const states = [];
      const look = (problem) => states.push(timeless(made.answer('127.0.0.1', '3000', problem)));
      const change = (disabled) => {
        const { answer, ...rest } = made.switch(disabled, '127.0.0.1', undefined, false);
        states.push(timeless(answer), rest, header[0] < 0, header[1] > 0);
      };
      look();
      look('broken');
      for (const disabled of [true, true, false, false]) {
        change(disabled);
        look('broken');
      }
      process.leave();
      look();
      states.push(header[1] > 0, made.answer('::1', '/tmp/ä.sock', undefined).body.length > 0);
      return states;
    };
    const states = assertSame(script);
    const [available, , disabled] = [states[0], states[1], states[6]];
    assert.match(available.body, /^status=AVAILABLE&ServeTraffic=true&ip=127\.0\.0\.1&hostname=/);
    assert.match(disabled.body, /^status=DISABLED&ServeTraffic=false&/);
  });

  it('lets the same clients switch, and refuses the others with the same bytes', () => {
    const clients = [undefined, '', '127.0.0.1', '10.1.2.3', '::1', '::ffff:10.9.9.9', 'nonsense'];
    const tokens = [
      undefined, '', 'Bearer secret', 'bearer  secret ', 'Bearer secret2', 'Basic secret',
    ];
    const kinds = [
      {}, { token: 'secret' }, { allow: ['10.0.0.0/8', '::1'] },
      { token: 'secret', allow: ['127.0.0.1', '::ffff:10.0.0.0/104'] },
    ];
    for (const ecv of kinds) {
      const run = (one) => {
        const made = check(one, { ...ecv, control: true });
        const ask = (client, token, isFromPage) => {
          const { answer, ...rest } = made.switch(true, client, token, isFromPage);
          return [client, token, isFromPage, timeless(answer), { warning: undefined, ...rest }];
        };
        const each = (client, token) => [ask(client, token, true), ask(client, token, false)];
        return clients.flatMap((client) => tokens.flatMap((token) => each(client, token)));
      };
      assertSame(run, JSON.stringify(ecv));
    }
  });

  it('shows times as the addon does, in ten time zones', () => {
    const zones = [
      'UTC', 'America/Los_Angeles', 'America/New_York', 'Europe/Berlin', 'Europe/London',
      'Asia/Kolkata', 'Asia/Tokyo', 'Australia/Sydney', 'America/Sao_Paulo', 'Africa/Johannesburg',
    ];
    const script = `
      const one = require('./lib/native');
      const config = one.normalizeOptions('{"cluster":false,"monPort":false}');
      const single = new one.NativeSingle(config, '{"node":"","root":"/"}', () => {});
      const { ecv } = JSON.parse(config);
      const check = single.healthCheck(JSON.stringify(ecv));
      const { date } = require('./lib/fallback/answer');
      const shown = check.answer('127.0.0.1', '1').body.split('time=')[1];
      const since = Date.parse(shown.replace(/ \\(.*/, ''));
      console.log(JSON.stringify([shown, date(since), date(1337359772000)]));`;
    const cwd = path.join(__dirname, '..', '..');
    const ask = (TZ) => {
      const env = { ...process.env, TZ };
      return JSON.parse(execFileSync(process.execPath, ['-e', script], { cwd, env, encoding: 'utf8' }));
    };
    for (const zone of zones) {
      const [wanted, found, old] = ask(zone);
      assert.strictEqual(found, wanted, zone);
      if (zone === 'America/Los_Angeles') {
        assert.strictEqual(old, 'Fri May 18 2012 09:49:32 GMT-0700 (PDT)', 'as in the manual');
      }
    }
    assert.match(date(0), DATE);
  });

  it('has a status of the same form', () => {
    const form = (value) => {
      if (value === null || typeof value !== 'object') return typeof value;
      if (Array.isArray(value)) return value.map(form);
      return Object.fromEntries(Object.keys(value).sort().map((key) => [key, form(value[key])]));
    };
    const statusOf = (one) => {
      const process = single(one);
      const places = [ENDPOINT, { ...ENDPOINT, address: '::' }, { path: '/a.sock' }, { path: '\0a\0' }];
      process.serve(JSON.stringify(places), false);
      process.beat(1000);
      process.checked('broken');
      process.leave();
      const status = JSON.parse(process.status());
      process.end();
      const { hostname, os: system, listening, node, version, state, target } = status.master;
      const { name, script, directory } = status.master;
      const events = status.events.map(({ time, ...event }) => ({ ...event, isTimed: time > '2' }));
      return {
        form: form(status), hostname, system, listening, node, version, state, target,
        name, script, directory, events,
      };
    };
    assertSame(statusOf);
  });

  it('answers commands from elsewhere in the same way where no cluster runs', async () => {
    const empty = fs.mkdtempSync(path.join(os.tmpdir(), 'cluster2-test-'));
    const missing = path.join(empty, 'missing');
    const commands = [
      { command: 'stop' }, { command: 'shutdown', wait: true }, { command: 'status' },
      { command: 'reload', addressesMayChange: false }, { command: 'scale', workers: 2 },
      { command: 'ecv', disabled: true }, { command: 'reopenLogs' },
    ];
    const ask = async (one, pids, command) => {
      try {
        return JSON.parse(await one.ask(pids, JSON.stringify(command)));
      } catch (error) {
        const { code, message } = fromNative(error);
        return { code, message };
      }
    };
    for (const pids of [empty, missing]) {
      for (const command of commands) {
        const wanted = await ask(addon, pids, command);
        const found = await ask(fallback, pids, command);
        assert.deepStrictEqual(found, wanted, JSON.stringify(command));
      }
    }
    fs.writeFileSync(path.join(empty, 'master.lock'), '');
    const { code, message } = await ask(fallback, empty, { command: 'status' });
    assert.strictEqual(code, 'CLUSTER2_ERR_PLATFORM');
    assert.strictEqual(message, `cannot ask the cluster in ${empty}: because of the test`);
    fs.rmSync(empty, { recursive: true });
  });

  it('finds hosts and the root of an app as the addon does', async () => {
    for (const host of ['127.0.0.1', '::1', '0.0.0.0']) {
      assert.strictEqual(await fallback.resolveHost(host), addon.resolveHost(host));
    }
    const unknown = 'unknown.invalid';
    const wanted = resultOf(() => addon.resolveHost(unknown));
    const beginning = `host '${unknown}' cannot be resolved: `;
    assert.ok(wanted.message.startsWith(beginning));
    const thrown = await fallback.resolveHost(unknown).catch(fromNative);
    assert.strictEqual(thrown.code, wanted.code);
    assert.ok(thrown.message.startsWith(beginning), thrown.message);
    for (const folder of [__dirname, path.join(__dirname, '..', '..'), os.tmpdir(), '/nowhere/x']) {
      assertSame((one) => one.appRoot(folder));
    }
  });
});
