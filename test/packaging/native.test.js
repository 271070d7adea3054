'use strict';

// The addon is found wherever npm put it. If there is none for a machine, the error says which
// platforms are supported and what to do.

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
 * `loaded`, or the error.
 */
function load(place, before = '') {
  const script = `${before};
    try { require(${JSON.stringify(place)}); console.log('loaded'); }
    catch ({ name, code, message }) { console.log(JSON.stringify({ name, code, message })); }`;
  const { stdout, stderr } = spawnSync(NODE, ['-e', script], { encoding: 'utf8' });
  assert.strictEqual(stderr, '');
  return stdout.startsWith('{') ? JSON.parse(stdout) : stdout.trim();
}

/** Checks that it is the error for a wrong platform, and that its message contains all `words`. */
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
      assert.strictEqual(load(lay(layout).linked), 'loaded');
    });
  }

  it('from beside the package first', () => {
    const { main } = lay('hoisted', { addon: 'no addon' });
    const name = `cluster2-rs.${PLATFORM}.node`;
    fs.copyFileSync(path.join(ROOT, name), path.join(main, name));
    assert.strictEqual(load(main), 'loaded');
  });
});

describe('without an addon', () => {
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
    assertPlatformError(load(place), ...parts);
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
    assertPlatformError(load(place, mac), `darwin-arm64 (Node ${VERSION})`, ...supported);
    assertPlatformError(
      load(place, pretend('arch', "'riscv64'")),
      PLATFORM.replace(process.arch, 'riscv64'),
      ...supported,
    );
  });

  it('the error names musl if Node is linked with it', () => {
    const node = path.join(place, 'node');
    write({ [node]: `\x7fELF${'\0'.repeat(700)}/lib/ld-musl-${process.arch}.so.1\0` });
    assertPlatformError(
      load(place, pretend('execPath', JSON.stringify(node))),
      `linux-${process.arch}-musl`,
    );
  });

  it('the error names a file that is not an addon, with the reason', () => {
    const { main } = lay('hoisted', { addon: 'no addon'.repeat(1000) });
    assertPlatformError(load(main), `cluster2-rs.${PLATFORM}.node`, 'invalid ELF header', VERSION);
  });
});

describe('other runtimes', () => {
  for (const [key, name] of Object.entries({ bun: 'Bun', deno: 'Deno' })) {
    it(`${name} is rejected by its name, though it can load the addon`, () => {
      const versions = pretend('versions', `{ ...process.versions, ${key}: '1.2.3' }`);
      assertPlatformError(load(ROOT, versions), `${name} 1.2.3`, 'Node');
    });
  }
});
