'use strict';

// The addon is found wherever npm put it. If there is none for a machine, a cluster is one process,
// unless CLUSTER2_REQUIRE_NATIVE asks for the addon: then the error says which platforms are
// supported and what to do.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const {
  LAYOUTS,
  PLATFORM,
  ROOT,
  emptyFolder,
  lay,
  placeMain,
  removeFolders,
  write,
} = require('../helpers/installed');
const { NODE, VERSION } = require('../helpers/node');

/**
 * Requires the package at this path in a new process, after running `before` there. Returns
 * whether it is `native`, or the error.
 */
function load(place, before = '', env = {}) {
  const script = `${before};
    try { console.log('native', require(${JSON.stringify(place)}).native); }
    catch ({ name, code, message }) { console.log(JSON.stringify({ name, code, message })); }`;
  const { stdout, stderr } = spawnSync(NODE, ['-e', script], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  assert.strictEqual(stderr, '');
  return stdout.startsWith('{') ? JSON.parse(stdout) : stdout.trim();
}

const REQUIRED = { CLUSTER2_REQUIRE_NATIVE: '1' };
/** As `load`, but the addon is required. */
const loadNative = (place, before) => load(place, before, REQUIRED);

/** Checks that it is the error for a wrong platform, and that its message contains all `parts`. */
function assertPlatformError(error, ...parts) {
  assert.strictEqual(error.name, 'ClusterError', JSON.stringify(error));
  assert.strictEqual(error.code, 'CLUSTER2_ERR_PLATFORM');
  for (const part of parts) assert.ok(error.message.includes(part), `${part}: ${error.message}`);
}

/** Code that changes a property of `process` to that of another machine. */
const pretend = (name, value) => `Object.defineProperty(process, '${name}', { value: ${value} })`;

describe('the addon is loaded', () => {
  afterEach(removeFolders);

  for (const layout of Object.keys(LAYOUTS)) {
    it(`from the platform package: ${layout}`, () => {
      assert.strictEqual(loadNative(lay(layout).linked), 'native true');
    });
  }

  it('from beside the package first', () => {
    const { main } = lay('hoisted', { addon: 'no addon' });
    const name = `cluster2-rs.${PLATFORM}.node`;
    fs.copyFileSync(path.join(ROOT, name), path.join(main, name));
    assert.strictEqual(load(main), 'native true');
  });
});

describe('a required addon that is missing', () => {
  let place;
  beforeEach(() => {
    place = path.join(emptyFolder(), 'cluster2-rs');
    placeMain(place);
  });
  afterEach(removeFolders);

  it('the error on a supported platform names the missing package, and how to build', () => {
    const parts = [
      `${PLATFORM} (Node ${VERSION})`,
      `cluster2-rs-${PLATFORM}`,
      'optional dependencies',
      'npm run build',
    ];
    assertPlatformError(loadNative(place), ...parts);
  });

  it('the error on another system or processor lists the supported ones', () => {
    const supported = [
      'linux-x64-gnu',
      'linux-x64-musl',
      'linux-arm64-gnu',
      'linux-arm64-musl',
      'npm run build',
    ];
    const mac = `${pretend('platform', "'darwin'")};${pretend('arch', "'arm64'")}`;
    assertPlatformError(loadNative(place, mac), `darwin-arm64 (Node ${VERSION})`, ...supported);
    assertPlatformError(
      loadNative(place, pretend('arch', "'riscv64'")),
      PLATFORM.replace(process.arch, 'riscv64'),
      ...supported,
    );
  });

  it('the error names musl if Node is linked with it', () => {
    const node = path.join(place, 'node');
    write({ [node]: `\x7fELF${'\0'.repeat(700)}/lib/ld-musl-${process.arch}.so.1\0` });
    assertPlatformError(
      loadNative(place, pretend('execPath', JSON.stringify(node))),
      `linux-${process.arch}-musl`,
    );
  });

});

describe('without an addon', () => {
  afterEach(removeFolders);

  const MACHINES = {
    'macOS': `${pretend('platform', "'darwin'")};${pretend('arch', "'arm64'")}`,
    'Windows': pretend('platform', "'win32'"),
    'another processor': pretend('arch', "'riscv64'"),
    'a Linux on which it was not installed': '',
  };
  for (const [machine, before] of Object.entries(MACHINES)) {
    it(`the package loads, and says that it is not native: ${machine}`, () => {
      const place = path.join(emptyFolder(), 'cluster2-rs');
      placeMain(place);
      assert.strictEqual(load(place, before), 'native false');
      assert.strictEqual(load(place, before, { CLUSTER2_REQUIRE_NATIVE: '0' }), 'native false');
    });
  }

  it('a file that is not an addon is an error, with the reason', () => {
    const { main } = lay('hoisted', { addon: 'no addon'.repeat(1000) });
    assertPlatformError(load(main), `cluster2-rs.${PLATFORM}.node`, 'invalid ELF header', VERSION);
  });
});

describe('other runtimes', () => {
  for (const [key, name] of Object.entries({ bun: 'Bun', deno: 'Deno' })) {
    it(`${name} is not native, though it can load the addon`, () => {
      const versions = pretend('versions', `{ ...process.versions, ${key}: '1.2.3' }`);
      assert.strictEqual(load(ROOT, versions), 'native false');
      assertPlatformError(loadNative(ROOT, versions), `${name} 1.2.3`, 'Node');
    });
  }
});
