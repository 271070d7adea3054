'use strict';

// What somebody puts in place of the files of a running cluster, where only a removal would be seen at once.

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Script, freePort } = require('../helpers/cluster');
const { until } = require('../helpers/wait');

describe('the files of a running cluster, replaced', () => {
  const start = async () => new Script('http.js', { port: await freePort() }).ready();

  const REPLACED = {
    'a symlink': (file, victim) => fs.symlinkSync(victim, file),
    'a file that names a stranger': (file) => fs.writeFileSync(file, `${process.pid}\n`),
  };
  for (const [what, put] of Object.entries(REPLACED)) {
    it(`name the master again where somebody put ${what} in place of master.pid`, async () => {
      const script = await start();
      const file = path.join(script.pids, 'master.pid');
      const victim = path.join(script.cwd, 'victim');
      fs.writeFileSync(victim, 'precious');
      fs.rmSync(file);
      // By one rename, so that nobody finds it missing.
      put(`${file}.new`, victim);
      fs.renameSync(`${file}.new`, file);
      const isOurs = () => fs.lstatSync(file).isFile() && fs.readFileSync(file, 'utf8') === `${script.pid}\n`;
      await until('it names the master', () => fs.existsSync(file) && isOurs(), 3000);
      assert.strictEqual(fs.readFileSync(victim, 'utf8'), 'precious');
      assert.deepStrictEqual(script.told('warning'), []);
    });
  }

  it('that nobody can write are told, and are there once they can be written', async () => {
    const script = await start();
    const [pid] = script.workers();
    const file = path.join(script.pids, `worker.${pid}.pid`);
    fs.rmSync(file);
    fs.mkdirSync(file);
    fs.rmSync(path.join(script.pids, `worker.${pid}.start`));
    await script.until('it is told', () => script.told('warning').length > 0);
    assert.match(script.told('warning')[0][0].message, /^others do not find all workers of this cluster: cannot write .*worker/);
    fs.rmdirSync(file);
    await until('it is there', () => fs.existsSync(file) && fs.readFileSync(file, 'utf8') === `${pid}\n`, 3000);
  });
});
