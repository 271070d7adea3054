'use strict';

// How a worker leaves: by the master's order, by a signal to itself, by closing its IPC, or because
// its master is gone. It drains, reports when nothing is left, and ends when the master lets it.
// What always holds:
// - a connection for a server that the script has closed meanwhile goes to another worker, and the
//   address stays taken until another worker serves there or this process is gone;
// - a script that handles the signal itself ends the process itself, by the master's deadline.

const { CloseEvent } = require('../http/close-event');
const { Drain } = require('../http/drain');
const { Signals } = require('./signals');

/**
 * How long a worker may go on after its last connection, milliseconds: a timer of the app may keep
 * it alive.
 */
const GRACE = 500;

class Departure {
  #session;
  #drain;
  #closeEvent = new CloseEvent();
  #signals;
  /** Tells a script that does not listen to end. */
  #tellScript;
  /** The script was told, and handles it. */
  #isHandled = false;
  #isOrphan = false;
  #mayEnd = false;
  #hasLeft = false;

  /** @param {Session} session whose `back` gives connections to other workers */
  constructor(session) {
    this.#session = session;
    this.#drain = new Drain(session.traffic, () => this.#drained(), session.identity.moveIdle);
  }

  /**
   * These servers emit `close` at the start of a drain too: they belong to an app that was passed
   * to `Cluster#listen`.
   */
  tellEarly(servers) {
    this.#closeEvent.tellEarly(servers);
  }

  /**
   * `tell` is called when this worker begins to leave, with whether the script had a signal, and
   * returns whether the script ends the process itself.
   */
  onStart(tell) {
    this.#tellScript = tell;
  }

  /**
   * Reports signals to this worker. Ctrl-C and a hang-up reach all processes of a terminal: the
   * master decides what they mean. SIGTERM means this worker, and so does a Ctrl-C that its script
   * handles itself.
   * @returns {() => void} ends it
   */
  onSignals(tell) {
    const onSignal = (signal) => {
      this.#session.report({ type: 'signal', signal });
      tell(signal);
      if (signal === 'SIGTERM' || this.#signals.areHandled) this.leave();
      // It may close its servers now, and with them Node would close what is idle.
      else if (this.#signals.hungUp) this.#drain.move(this.#session.back);
    };
    this.#signals?.stop();
    const signals = new Signals(onSignal, () => this.#hasLeft && process.exit());
    this.#signals = signals;
    return () => signals.stop();
  }

  /** Leaves by itself. The master hands over nothing more, and starts another worker. */
  leave() {
    if (this.#drain.active) return;
    this.#session.report({ type: 'leaving' });
    this.start({ moving: true }, true);
  }

  /**
   * Drains. `moving`: other workers take what is idle except the connections of `retired`
   * listeners. `signalled`: a signal to this worker is the reason.
   */
  start({ moving, retired }, signalled = false) {
    const isFirst = !this.#drain.active;
    this.#session.stopAcceptingAll();
    this.#drain.start(moving ? this.#session.back : undefined, retired);
    // Not before the script's own handlers of a signal, which may close servers.
    if (!isFirst) return;
    setImmediate(() => this.#closeEvent.start());
    this.#isHandled = this.#tellScript?.(signalled) ?? false;
  }

  /** The idle connections that others can have when this process ends at once: see `Drain`. */
  get leftovers() {
    return this.#drain.leftovers(this.#session.back);
  }

  /** Gives back those with one request under way: see `Drain`. */
  get busy() {
    return this.#drain.busy(this.#session.back);
  }

  /** There is room again for connections that go to other workers. */
  goOn() {
    this.#drain.move();
  }

  /** The master lets it end. */
  allow() {
    this.#mayEnd = true;
    this.#drained();
  }

  /** The master is gone: finish and go. The watch's own deadline holds even if this never runs. */
  orphan() {
    if (this.#isOrphan) return;
    this.#isOrphan = true;
    this.start({ moving: false });
    this.allow();
  }

  /** The script closes a server. After a SIGHUP that it handled, this says that it leaves. */
  onClose() {
    if (this.#signals?.hungUp) this.leave();
  }

  /** Whether it leaves. */
  get isActive() {
    return this.#drain.active;
  }

  /** Whether others may take connections that come here. */
  get isMoving() {
    return this.#drain.isMoving;
  }

  /** Whether the script ends the process itself. */
  get isUpToScript() {
    return this.#drain.active && (this.#isHandled || Boolean(this.#signals?.areHandled));
  }

  // The drain's clock looks again for connections that wait to be given back.
  #drained() {
    if (this.#session.traffic.size > 0 || this.#session.back.isPending || this.#hasLeft) return;
    if (!this.#mayEnd) return this.#session.report({ type: 'drained' });
    this.#hasLeft = true;
    this.#drain.stop();
    process.channel?.unref();
    // A script that ends itself closes its servers when it means to: closed by us, it would get an
    // error.
    if (this.isUpToScript) return;
    this.#closeEvent.finish(this.#session.traffic.servers);
    setTimeout(() => process.exit(), GRACE).unref();
  }
}

module.exports = { Departure };
