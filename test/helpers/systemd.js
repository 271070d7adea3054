'use strict';

// A systemd of its own, as process 1 of a pid namespace, with nothing but one service.

const { execFileSync, spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const path = require('node:path');
const { childrenOf } = require('./cluster');
const { emptyFolder } = require('./folder');
const { until } = require('./wait');

const PROGRAM = '/lib/systemd/systemd';
const UNIT = 'cluster2-test.service';
const TARGET = `[Unit]
DefaultDependencies=no
Wants=${UNIT}
`;
/** It sees only this control group, so it touches no process of the machine. */
const ENTER = 'echo $$ > "$GROUP/cgroup.procs" && exec "$@"';
const NAMESPACES = [
  '--cgroup', '--uts', '--ipc', '--mount', '--mount-proc', '--pid', '--fork', '--kill-child',
];
const BEGIN = `
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
cp "$UNITS"/* /run/systemd/system/
# As in a container: nothing of the machine is changed.
for folder in /etc /proc/sys; do
  mount --bind $folder $folder
  mount -o remount,bind,ro $folder
done
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec env -i PATH="$PATH" container=test ${PROGRAM} --system --unit=test.target \\
  --log-target=console --show-status=false
`;

/** Returns where cgroup v2 is mounted, if it is. */
function groups() {
  const mounts = fs.readFileSync('/proc/mounts', 'utf8').split('\n').map((line) => line.split(' '));
  return mounts.find(([, , type]) => type === 'cgroup2')?.[1];
}

/** Removes a control group, whose processes have ended. */
function removeGroup(folder) {
  const entries = fs.readdirSync(folder, { withFileTypes: true });
  for (const entry of entries) if (entry.isDirectory()) removeGroup(path.join(folder, entry.name));
  fs.rmdirSync(folder);
}

/** A running systemd. */
class Systemd {
  output = '';
  #child;
  #group = path.join(groups(), `cluster2-test-${process.pid}`);
  #ended;

  /** @param {string} service lines of the section `[Service]` */
  constructor(service) {
    const units = emptyFolder();
    fs.writeFileSync(path.join(units, 'test.target'), TARGET);
    const unit = `[Unit]\nDefaultDependencies=no\n\n[Service]\n${service}\n`;
    fs.writeFileSync(path.join(units, UNIT), unit);
    fs.mkdirSync(this.#group);
    const command = ['-c', ENTER, 'sh', 'unshare', ...NAMESPACES, 'sh', '-c', BEGIN];
    const env = { ...process.env, GROUP: this.#group, UNITS: units };
    this.#child = spawn('sh', command, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.stdout.on('data', (text) => (this.output += text));
    this.#child.stderr.on('data', (text) => (this.output += text));
    this.#ended = once(this.#child, 'close');
  }

  /** Runs a command in its namespaces. */
  run(...command) {
    const [first] = childrenOf(this.#child.pid);
    const inside = ['--target', `${first}`, '--mount', '--pid', '--cgroup'];
    return execFileSync('nsenter', [...inside, ...command], { encoding: 'utf8', stdio: 'pipe' });
  }

  /** Properties of the service, as `systemctl show` prints them. */
  show(...names) {
    const shown = this.run('systemctl', 'show', UNIT, `--property=${names}`).trim().split('\n');
    return Object.fromEntries(shown.map((line) => line.split(/=(.*)/s).slice(0, 2)));
  }

  /** Waits until the service is in this state. */
  async is(state) {
    const isSo = () => {
      try {
        return this.show('ActiveState').ActiveState === state;
      } catch {
        // It does not answer yet.
        return false;
      }
    };
    await until(`the service is ${state}`, isSo).catch((error) => {
      throw new Error(`${error.message}\n${this.output}`, { cause: error });
    });
  }

  async end() {
    this.#child.kill('SIGKILL');
    await this.#ended;
    await until('its group is empty', () => {
      const procs = path.join(this.#group, 'cgroup.events');
      return fs.readFileSync(procs, 'utf8').includes('populated 0');
    });
    removeGroup(this.#group);
  }
}

/** Whether a systemd can run here: as root, with control groups that can be written. */
function canRun() {
  if (process.getuid() !== 0 || !fs.existsSync(PROGRAM) || !groups()) return false;
  const probe = path.join(groups(), `cluster2-probe-${process.pid}`);
  const script = 'mkdir "$1" && rmdir "$1"';
  return spawnSync('sh', ['-c', script, 'sh', probe]).status === 0;
}

module.exports = { Systemd, UNIT, canRun };
