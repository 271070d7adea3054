/// <reference types="node" />

import { EventEmitter } from 'node:events';
import * as http from 'node:http';
import * as net from 'node:net';

/**
 * A server script as a set of workers that share its ports.
 *
 * Until `listen()` an instance has no effect on the process. One that only calls `stop()`,
 * `shutdown()` and the like commands the cluster that runs in the same `pids` directory.
 */
declare class Cluster extends EventEmitter {
  /**
   * @param options all have defaults; `undefined` and `null` count as not given
   * @throws {Cluster.OptionError} an option that is unknown, of the wrong kind or out of its range,
   *   named in the message
   */
  constructor(options?: Cluster.Options);

  /** The options that count, with their defaults. A change here has no effect. */
  options: Cluster.Options;

  /**
   * Runs the app: starts the workers in the master, and serves in a worker (and with `cluster:
   * false`, and without the addon). An error of the start is emitted as `error`; without a listener it is printed and the
   * process exits with 255.
   * @param createApp calls back with the app, at once or later; it may be async. `monApp` is an
   *   HTTP app of your own on the monitor's port: it runs in the master and gets requests first;
   *   the built-in pages answer those that it answers with 404
   * @param callback called when this process listens; in the master, when its first worker does
   * @throws {Cluster.ArgumentError} `CLUSTER2_ERR_APP_INVALID` if an argument is not a function
   * @throws {Cluster.ClusterError} `CLUSTER2_ERR_WRONG_STATE` if `listen` was called before, also
   *   of another `Cluster` in the same script
   */
  listen(
    createApp: (callback: (app: Cluster.Apps, monApp?: Cluster.App) => void) => unknown,
    callback?: (app: Cluster.Apps, monApp: Cluster.App | undefined) => void,
  ): void;

  /**
   * With the option `listen: false`: starts the workers in the master, and in a worker calls
   * `start`, which calls back when the worker is ready. Otherwise as above.
   */
  listen(start?: (callback: () => void) => unknown, callback?: () => void): void;

  /**
   * Kills all workers, and the master if it is another process. Resolves when they are gone, or to
   * `{ running: false }` if no cluster ran.
   */
  stop(): Promise<Cluster.Left>;

  /**
   * Leaves gracefully, after `shutdownDelay`. Resolves when no new connection is accepted, with
   * `wait` when all workers are gone; or to `{ running: false }` if no cluster ran.
   */
  shutdown(options?: Cluster.ShutdownOptions): Promise<Cluster.Left>;

  /**
   * Replaces all workers, one after another, each only after its replacement is ready. Resolves to
   * the number of replaced ones, when all have lived for `minReadyTime`. Rejects with
   * `CLUSTER2_ERR_RELOAD_FAILED` and the reason if a new worker ends before that (how it ended, and
   * its last lines on `process.stderr`), or if no new worker listens on an address that is served;
   * the old workers that are left then stay.
   * @throws {Cluster.ArgumentError} `CLUSTER2_ERR_ARGUMENT_INVALID` if `addresses` is anything but
   *   'may change'
   */
  reload(options?: Cluster.ReloadOptions): Promise<{ replaced: number }>;

  /**
   * Has another master take over, without losing a request or a connection: new code of the master,
   * another version of Node or of cluster2-rs, other options. Resolves to the new master's pid when
   * the old one has nothing left. Rejects with `CLUSTER2_ERR_UPGRADE_FAILED`, the reason and its
   * last lines if it does not become ready; the old one then goes on.
   * @throws {Cluster.ArgumentError} `CLUSTER2_ERR_ARGUMENT_INVALID`
   */
  upgrade(options?: Cluster.UpgradeOptions): Promise<Cluster.Upgraded>;

  /**
   * Has all workers open their log files again (`output: 'files'`), after a rotation. Resolves when
   * all have, to their number.
   */
  reopenLogs(): Promise<{ workers: number }>;

  /** What a worker executes, also while its event loop is stuck. Resolves within about a second. */
  stack(pid: number): Promise<Cluster.WorkerExecution>;

  /**
   * Changes the number of workers. Resolves at once to the number before and the new one: workers
   * start and drain after that. With `maxWorkers` it changes the least number, up to `maxWorkers`.
   * @param workers 1 to 1024
   * @throws {Cluster.ArgumentError} `CLUSTER2_ERR_ARGUMENT_INVALID` if it is not a whole number
   *   above 0
   */
  scale(workers: number): Promise<Cluster.Scaled>;

  /**
   * Takes the cluster out of the load balancers' rotation: the health check answers DISABLED.
   * Rejects with `CLUSTER2_ERR_WRONG_STATE` where `ecv` is `false`. `since`: ISO 8601.
   */
  disable(): Promise<{ disabled: boolean; since: string }>;

  /** Brings the cluster back: the health check answers its finding. Otherwise as `disable()`. */
  enable(): Promise<{ disabled: boolean; since: string }>;

  /**
   * The state of master and workers, or `{ running: false }` if none runs: look at `running` first.
   */
  status(): Promise<Cluster.Status | Cluster.NotRunning>;

  /**
   * Sends a message to one worker, which gets it by `process.on('message')` and by the event
   * `message`.
   * @param pid a worker's process id
   * @param message anything that JSON can hold, up to 8 MiB
   * @throws {Cluster.ArgumentError} `CLUSTER2_ERR_ARGUMENT_INVALID` if `pid` is not a whole number
   *   above 0, or JSON cannot hold the message
   */
  send(pid: number, message: unknown): Promise<{ sent: number }>;

  /**
   * Sends a message to all workers. Resolves to the number of those that got it.
   * @param message anything that JSON can hold, up to 8 MiB
   * @throws {Cluster.ArgumentError} `CLUSTER2_ERR_ARGUMENT_INVALID` if JSON cannot hold the message
   */
  broadcast(message: unknown): Promise<{ sent: number }>;

  on<E extends keyof Cluster.Events>(event: E, listener: Cluster.Listener<E>): this;
  once<E extends keyof Cluster.Events>(event: E, listener: Cluster.Listener<E>): this;
  off<E extends keyof Cluster.Events>(event: E, listener: Cluster.Listener<E>): this;
  addListener<E extends keyof Cluster.Events>(event: E, listener: Cluster.Listener<E>): this;
  removeListener<E extends keyof Cluster.Events>(event: E, listener: Cluster.Listener<E>): this;
  prependListener<E extends keyof Cluster.Events>(event: E, listener: Cluster.Listener<E>): this;
  prependOnceListener<E extends keyof Cluster.Events>(event: E, listener: Cluster.Listener<E>): this;
  emit<E extends keyof Cluster.Events>(event: E, ...args: Cluster.Events[E]): boolean;
}

declare namespace Cluster {
  export { Cluster };

  /** The kind of an error; stable. Meanings and remedies: docs/reference/errors.md. */
  export type ErrorCode =
    | 'CLUSTER2_ERR_ALREADY_RUNNING'
    | 'CLUSTER2_ERR_APP_INVALID'
    | 'CLUSTER2_ERR_ARGUMENT_INVALID'
    | 'CLUSTER2_ERR_CONTROL'
    | 'CLUSTER2_ERR_HOST_UNKNOWN'
    | 'CLUSTER2_ERR_LISTEN'
    | 'CLUSTER2_ERR_LOGS_UNWRITABLE'
    | 'CLUSTER2_ERR_NOT_RUNNING'
    | 'CLUSTER2_ERR_OPTION_INVALID'
    | 'CLUSTER2_ERR_OPTION_UNKNOWN'
    | 'CLUSTER2_ERR_PIDS_UNREADABLE'
    | 'CLUSTER2_ERR_PIDS_UNWRITABLE'
    | 'CLUSTER2_ERR_PLATFORM'
    | 'CLUSTER2_ERR_PORT_DENIED'
    | 'CLUSTER2_ERR_PORT_IN_USE'
    | 'CLUSTER2_ERR_RELOAD_FAILED'
    | 'CLUSTER2_ERR_UPGRADE_FAILED'
    | 'CLUSTER2_ERR_START_FAILED'
    | 'CLUSTER2_ERR_SYSTEM'
    | 'CLUSTER2_ERR_WORKER_BUSY'
    | 'CLUSTER2_ERR_WORKER_UNKNOWN'
    | 'CLUSTER2_ERR_WRONG_STATE';

  /**
   * Whether the addon for this machine is there. Without it (macOS, Windows, Bun, Deno) a cluster
   * is one process without workers. `CLUSTER2_REQUIRE_NATIVE=1` makes that an error of `require`.
   */
  export const native: boolean;

  /** An error of the cluster. */
  export class ClusterError extends Error {
    constructor(code: ErrorCode, message: string, options?: { cause?: unknown });
    readonly name: 'ClusterError';
    code: ErrorCode;
  }

  /** An option that is unknown, of the wrong kind or out of its range. */
  export interface OptionError extends TypeError {
    code: 'CLUSTER2_ERR_OPTION_INVALID' | 'CLUSTER2_ERR_OPTION_UNKNOWN';
  }

  /** An argument of a method that it cannot take. */
  export interface ArgumentError extends TypeError {
    code: 'CLUSTER2_ERR_APP_INVALID' | 'CLUSTER2_ERR_ARGUMENT_INVALID';
  }

  /** Given with the event `error`: an error of the cluster, of Node itself or of `createApp`. */
  export type StartError = Error & { code?: ErrorCode | (string & {}) };

  /**
   * A TCP port from 0 to 65535 (0: the kernel chooses), also as a numeric string; or the path of a
   * unix socket; of the app also `systemd:<name>`, a socket that systemd passed, and `\0<name>`, a
   * unix socket without a file.
   */
  export type Port = number | string;

  /** A number, also as a numeric string such as `process.env` holds. */
  export type Numeric = number | string;

  /**
   * A time: a whole number, also as a numeric string; or a number with a unit, `'90s'`, `'1.5h'`
   * (`ms`, `s`, `m`, `h`, `d`).
   */
  export type Time = number | string;

  /**
   * A size: a whole number of bytes, also as a numeric string; or a number with a unit, `'300M'`,
   * `'1.5G'` (`K`, `M`, `G`, with or without `B` or `iB`; 1K is 1024 bytes).
   */
  export type Size = number | string;

  /**
   * An app for one server: a net, http, https, http2 or tls server, an Express, Connect, Koa,
   * Fastify, Hapi or Nest app.
   */
  export type App = net.Server | http.RequestListener | KoaLike | FastifyLike | HapiLike | NestLike;

  /** An app for the ports of the `port` option, or several apps with a port each. */
  export type Apps = App | ReadonlyArray<{ app: App; port: Port | readonly Port[] }>;

  /** The parts by which an object is a Koa app. */
  export interface KoaLike {
    callback(): (request: http.IncomingMessage, response: http.ServerResponse) => unknown;
    use(...args: any[]): unknown;
  }

  /**
   * The parts by which an object is a Fastify instance. Its `ready()` is awaited before it serves.
   */
  export interface FastifyLike {
    server: net.Server;
    ready(): PromiseLike<unknown>;
    inject(...args: any[]): unknown;
  }

  /**
   * The parts by which an object is a Hapi server. Its `initialize()` is awaited before it serves.
   */
  export interface HapiLike {
    listener: net.Server;
    initialize(): PromiseLike<unknown>;
    inject(...args: any[]): unknown;
  }

  /**
   * The parts by which an object is a Nest application. Its `init()` is awaited before it serves.
   */
  export interface NestLike {
    getHttpServer(): any;
    getHttpAdapter(): any;
    init(): PromiseLike<unknown>;
  }

  /**
   * All are optional. Times are milliseconds up to 2147483647 unless said otherwise, or have a unit
   * (`'90s'`). `undefined` and `null` count as not given.
   */
  export interface Options {
    /**
     * `false`: one process without workers. Then `reload`, `scale`, `send` and `broadcast` are
     * refused, no file is written, and other processes cannot reach it.
     * @default true
     */
    cluster?: boolean | null | undefined;
    /**
     * `false`: workers do not listen, as queue consumers. One is ready when its script sends
     * `process.send('ready')`, when `createApp` calls back (which needs no app then), or when it
     * has lived for `minReadyTime`. It is told to end by SIGTERM, and by `process.on('disconnect')`.
     * @default true
     */
    listen?: boolean | null | undefined;
    /**
     * What people call the cluster: in `status()`, on the page, on the command line.
     * @default the `name` in the app's `package.json`, or that of its directory
     */
    name?: string | null | undefined;
    /**
     * Where the app listens: a TCP port from 0 to 65535, the path of a unix socket, or a list of
     * them, not empty. 0: the kernel chooses one port for all workers.
     * @default 3000
     */
    port?: Port | readonly Port[] | null | undefined;
    /**
     * Address or name that TCP ports are bound to; of a name, its first address.
     * @default '0.0.0.0'
     */
    host?: string | null | undefined;
    /**
     * Number of workers, 1 to 1024, or `'max'`, which is the default.
     * @default the number of processors that this process may use, limits of a container included
     */
    noWorkers?: Numeric | 'max' | null | undefined;
    /**
     * The most workers, `noWorkers` to 1024, or `'max'`: the number of processors. From `noWorkers`,
     * which is 1 by default then, up to so many run, by how busy their event loops were over the last
     * 10 s, and by how much memory is left.
     * @default always `noWorkers`
     */
    maxWorkers?: Numeric | 'max' | null | undefined;
    /**
     * Workers beyond these, 0 to 64, that have run the script up to its `listen()` and wait there.
     * When a worker ends or is recycled, one of them serves within milliseconds, and another one is
     * started. What the script does before it listens has happened in a spare, too: it has its
     * timers and its connections to databases. Must be 0 with `listen: false`.
     * @default 0
     */
    spares?: Numeric | null | undefined;
    /**
     * Directory of pid files and the control socket; made if missing. Relative to the working
     * directory.
     * @default 'pids'
     */
    pids?: string | null | undefined;
    /**
     * Directory of logs that the monitor shows. Relative to the working directory.
     * @default 'logs'
     */
    logs?: string | null | undefined;
    /**
     * Destination of workers' standard output and error: the master's own, the same with `[<slot>
     * <pid>]` before each line, or files in `logs`.
     * @default 'inherit'
     */
    output?: 'inherit' | 'prefix' | 'files' | null | undefined;
    /**
     * Where the monitor listens: a TCP port from 0 to 65535, or the path of a unix socket; `false`
     * turns it off. 0: the kernel chooses, and `status()` shows the port.
     * @default 3001
     */
    monPort?: Port | false | null | undefined;
    /**
     * Address or name that the monitor is bound to.
     * @default '127.0.0.1'
     */
    monHost?: string | null | undefined;
    /**
     * Path of the monitor's page, from `/`; its other pages lie below it.
     * @default '/'
     */
    monPath?: string | null | undefined;
    /**
     * The health check for load balancers. `false` turns it off, with all its parts.
     * @default true, with the defaults of `EcvOptions`
     */
    ecv?: boolean | EcvOptions | null | undefined;
    /**
     * A connection without traffic for so long is ended, milliseconds from 0; 0 turns it off. It
     * may come late by a tenth, at least 20 ms and at most about 1 s. A time-out that the app set
     * itself takes precedence, and so does its own `keepAliveTimeout` between two requests.
     * @default 30000
     */
    timeout?: Time | null | undefined;
    /**
     * A worker that served so many connections, and up to half as many more, is recycled; 0: none.
     * @default never
     */
    connThreshold?: Numeric | null | undefined;
    /**
     * A worker that has been ready for so many **seconds**, and up to half as many more, is
     * recycled; 0: none.
     * @default never
     */
    uptimeThreshold?: Time | null | undefined;
    /**
     * A worker with so many bytes of resident memory, and up to half as many more, is recycled; 0:
     * none.
     * @default never
     */
    memThreshold?: Size | null | undefined;
    /**
     * Chooses the worker for a connection: the one with the fewest open ones; one after another;
     * the same one for the same client address, while the set of workers stays. `'kernel'` is
     * another word for the default.
     * @default 'least-connections'
     */
    balance?: Balance | null | undefined;
    /**
     * Answers HTTP/1 connections 503 that wait for too long to be accepted; see
     * `OverloadOptions`. Needs `balance: 'least-connections'`.
     * @default off
     */
    overload?: OverloadOptions | false | null | undefined;
    /**
     * Whether idle HTTP/1 connections of a worker that leaves move to other workers, and, when a
     * request comes on them, those of a worker whose event loop is stuck. `false` for apps that
     * keep state by connection (PROXY protocol, NTLM, objects on the socket): they end as TLS
     * connections do, after one more request at most.
     * @default true
     */
    moveIdle?: boolean | null | undefined;
    /**
     * When a worker ends by an uncaught error, an unhandled rejection or `process.exit()`, other
     * workers answer its requests by GET, HEAD and OPTIONS that have no body and that it had not
     * begun to answer. Their handlers may then run twice, or three times. A `warning` names
     * them.
     * @default false
     */
    retry?: boolean | null | undefined;
    /**
     * A worker that does not listen within this time from its start is killed, milliseconds from 1.
     * @default 30000
     */
    startTimeout?: Time | null | undefined;
    /**
     * Ends the cluster with `CLUSTER2_ERR_START_FAILED` (exit code 255) after so many crashes in a
     * row without a ready worker; 0: none. Without it only a first start gives up, after as many
     * crashes as there are workers.
     * @default never
     */
    giveUpAfter?: Numeric | null | undefined;
    /**
     * How long workers of new code have to live before a reload trusts them, milliseconds from 0:
     * no old worker drains before the first one did, and the reload is over when all did.
     * @default 1000
     */
    minReadyTime?: Time | null | undefined;
    /**
     * A worker whose drain takes longer is killed, with its open connections, milliseconds from 1;
     * also how long workers go on when the master is gone.
     * @default 30000
     */
    shutdownTimeout?: Time | null | undefined;
    /**
     * From the request of a shutdown until no new connection is accepted, milliseconds from 0: for
     * load balancers that need time to notice.
     * @default 0
     */
    shutdownDelay?: Time | null | undefined;
    /**
     * Interval of the event `heartbeat`, milliseconds from 10.
     * @default 5000
     */
    heartbeatInterval?: Time | null | undefined;
    /**
     * A worker whose event loop did not turn for so long is killed and replaced, milliseconds from
     * 1000.
     * @default 30000
     */
    maxHeartbeatDelay?: Time | null | undefined;
    /**
     * A worker whose event loop did not turn for so long is reported by the event `blocked`,
     * milliseconds from 100; 0: none is.
     * @default 0
     */
    blockedAfter?: Time | null | undefined;
    /**
     * Path of the script that workers run.
     * @default the master's own
     */
    exec?: string | null | undefined;
    /**
     * Arguments of the workers' script.
     * @default the master's own
     */
    args?: ReadonlyArray<string | number> | null | undefined;
    /**
     * Node's own flags for workers.
     * @default the master's own
     */
    execArgv?: ReadonlyArray<string | number> | null | undefined;
    /**
     * Variables added to the workers' environment.
     * @default {}
     */
    env?: Readonly<Record<string, string | number>> | null | undefined;
    /**
     * Working directory of workers.
     * @default the master's own
     */
    cwd?: string | null | undefined;
  }

  /** How connections are spread over the workers. */
  export type Balance = 'least-connections' | 'round-robin' | 'ip-hash' | 'kernel';

  /** The `ecv` option. */
  export interface EcvOptions {
    /**
     * Path of the health check, from `/`, on the app's port and on the monitor's.
     * @default '/ecv'
     */
    path?: string | null | undefined;
    /**
     * Path on the app, or http or https URL without user and password, that must answer 2xx for the
     * check to be well.
     * @default none
     */
    monitor?: string | null | undefined;
    /**
     * Whether `POST <path>/disable` and `<path>/enable` are served. Every client that reaches the
     * port may then switch, unless `token` or `allow` restrict it.
     * @default false
     */
    control?: boolean | null | undefined;
    /**
     * Judges the health of the app; may be async.
     * @default none
     */
    validator?: Validator | null | undefined;
    /**
     * Bound of one probe, and of one call of the validator, milliseconds from 1.
     * @default 5000
     */
    timeout?: Time | null | undefined;
    /**
     * Clients that switch need `Authorization: Bearer <token>`.
     * @default none
     */
    token?: string | null | undefined;
    /**
     * The only addresses and CIDRs that may switch, at least one.
     * @default everybody
     */
    allow?: readonly string[] | null | undefined;
  }

  /** The `overload` option: at least one of the two. Health checks are answered as ever. */
  export interface OverloadOptions {
    /**
     * How many connections may wait to be accepted, from 1; of more, the oldest are answered 503.
     * @default none
     */
    waiting?: Numeric | null | undefined;
    /**
     * How long a connection may wait to be accepted, milliseconds from 20, before it is answered
     * 503.
     * @default none
     */
    delay?: Time | null | undefined;
  }

  /**
   * Judges the answer of `ecv.monitor`; without one, it is called with `undefined, {}, ''`. WARNING
   * is `false`, a throw, a rejection or no answer within `ecv.timeout`; anything else is well.
   */
  export type Validator = (
    status: number | undefined,
    headers: Record<string, string>,
    body: string,
  ) => unknown;

  export interface Upgraded {
    /** The new master. */
    pid: number;
    /** Addresses that none of its workers serves. */
    closed: string[];
    /** What was wrong although it was done: memory may not have been enough. */
    warning?: string;
  }

  export interface UpgradeOptions {
    /** A program in place of the one that started the master; searched in `PATH`. */
    command?: string;
    /** The arguments of `command`. */
    args?: string[];
    /** Variables besides those that the master was started with. */
    env?: Record<string, string>;
    /** In place of the directory in which the master was started. */
    cwd?: string;
    /** Until all new workers have to be ready, milliseconds. Default: 60000. */
    timeout?: number;
  }

  export interface ReloadOptions {
    /**
     * The new code may listen elsewhere: an address that is served now may be without a worker
     * then.
     */
    addresses?: 'may change' | undefined;
  }

  export interface ShutdownOptions {
    /**
     * Whether to wait until all workers are gone, which takes up to `shutdownDelay` +
     * `shutdownTimeout`.
     * @default false
     */
    wait?: boolean;
  }

  /** The answer if no cluster runs. */
  export interface NotRunning {
    running: false;
    /** The reason, if there is not even the `pids` directory. */
    reason?: string;
  }

  /** The answer to `stop()` and `shutdown()`; `pid` is the master's. */
  export type Left = { running: true; pid: number } | NotRunning;

  /** Numbers that a process reports about itself, since its start. */
  export interface WorkerStats {
    pid: number;
    connections: {
      active: number;
      total: number;
      /** Ended by the option `timeout`. */
      timedOut: number;
    };
    requests: { active: number; total: number };
    /** By how much the last timer was late, milliseconds; measured once a second. */
    eventLoopDelay: number;
    /** Resident memory, bytes; measured once a second. */
    rss: number;
    /** Processor time, milliseconds; measured once a second. */
    cpu: number;
  }

  export interface WorkerStatus extends WorkerStats {
    /** Its slot, from 0. A replacement takes over the slot, unless it was a spare. */
    slot: number;
    /** Which process of that slot it is, from 1. */
    generation: number;
    /**
     * `spare`: its script has run, and waits in its `listen()`. `stuck`: ready, but its event loop
     * has not turned for a second or more.
     */
    state: 'starting' | 'spare' | 'ready' | 'stuck' | 'draining' | 'killed';
    /**
     * For how long the event loop of a ready, spare or draining worker has not turned,
     * milliseconds; `null` while it turns.
     */
    stuckFor: number | null;
    /** ISO 8601. */
    startedAt: string;
    /**
     * The part of the last second or two in which its event loop was not idle, from 0 to 1; `null`:
     * not known yet.
     */
    eventLoopUtilization: number | null;
    /** Processor time in the last second or two, percent of one core. */
    cpuPercent: number;
    /** How often the worker in that slot was replaced, for whatever reason. */
    restarts: number;
    /** How many workers in that slot ended although nobody asked them to. */
    crashes: number;
  }

  /** A slot for one worker, from 0. */
  export interface SlotStatus {
    slot: number;
    /** That of its worker; `waiting`: for the next one. */
    state: WorkerStatus['state'] | 'waiting';
    /** Of its worker. */
    pid: number | null;
    /** When its next worker starts, ISO 8601; `null`: it does not wait for one. */
    nextStart: string | null;
    /** How often its worker was replaced, for whatever reason. */
    restarts: number;
    /** How many of its workers ended although nobody asked them to. */
    crashes: number;
    /** How its latest worker that is gone ended. */
    lastExit: LastExit | null;
  }

  /** How a worker ended. */
  export interface LastExit {
    /** ISO 8601. */
    at: string;
    pid: number;
    code: number | null;
    signal: Death['signal'];
    reason: Death['reason'];
    /** The error that it did not catch, in words. */
    error: string | null;
    /**
     * Its last lines on standard error, at most 10, oldest first: what it wrote to `process.stderr`,
     * and with `output: 'files'` the end of its file, whatever wrote there.
     */
    lines: string[];
  }

  /** Something that happened in the cluster. */
  export interface EventRecord {
    /** Counts all events since the start, from 1. */
    seq: number;
    /** ISO 8601. */
    time: string;
    type:
      | 'start' | 'ready' | 'exit' | 'reload' | 'upgrade' | 'recycle' | 'scale' | 'stuck'
      | 'blocked' | 'switch' | 'overload'
      | 'warning';
    level: 'info' | 'warn' | 'error';
    slot: number | null;
    pid: number | null;
    /** In words; what a worker executes is on further lines. */
    message: string;
  }

  export interface Status {
    running: true;
    master: {
      pid: number;
      /** What people call the cluster: the option `name`. */
      name: string;
      /** The script that workers run; `null`: the process runs none. */
      script: string | null;
      /** The working directory of workers. */
      directory: string;
      /** ISO 8601. */
      startedAt: string;
      /** Of Node. */
      node: string;
      /** Of cluster2-rs. */
      version: string;
      hostname: string;
      /** With release and machine, `Linux 6.1.0 x86_64`. */
      os: string;
      state: 'running' | 'leaving';
      /** How many workers there should be that serve; 0 with `cluster: false`. */
      target: number;
      /** How that number follows the work, with `maxWorkers`; `null` without. */
      scaling: ScalingStatus | null;
      /** How many spares there should be. */
      spares: number;
      /**
       * Progress of a reload; `again`: another one follows, which was asked for meanwhile. `null`:
       * no reload runs.
       */
      reload: { replaced: number; total: number; again: boolean } | null;
      /**
       * Another master takes over, or the former one still drains; `pid` is the other one's. `null`:
       * neither.
       */
      upgrade: UpgradeProgress | null;
      /** Where ready workers listen now, `host:port` or a path each; empty while none is ready. */
      listening: string[];
      /** Where the monitor listens, `host:port` or a path; `null`: it is off. */
      monitor: string | null;
      /** Resident memory, bytes. */
      rss: number;
      /** Processor time, milliseconds. */
      cpu: number;
      /** Processor time in the last second or two, percent of one core. */
      cpuPercent: number;
    };
    workers: WorkerStatus[];
    ecv: {
      /** Whether the health check was switched off. */
      disabled: boolean;
      /** When it was last switched, ISO 8601; at first, the start. */
      since: string;
      /** Why there is no worker to send clients to; `null`: there is one. */
      unavailable: string | null;
      /** Workers whose last check found something wrong. */
      unhealthy: Array<{ pid: number; reason: string }>;
    };
    /**
     * Connections are answered 503, as the option `overload` says: since when (ISO 8601), and how
     * many so far. `null`: none are.
     */
    overload: { since: string; shed: number } | null;
    /** Counters since the start, workers that are gone included. */
    totals: {
      connections: number;
      timedOut: number;
      requests: number;
      /**
       * Connections that the master handed to workers, repeated ones included. With
       * `least-connections` workers accept those of TCP themselves.
       */
      handed: number;
      /** Connections taken back from workers that died or did not take them in time. */
      reclaimed: number;
      /** Connections that workers gave back for another one. */
      moved: number;
      /** Requests that workers handed over when they ended, for another one to answer. */
      retried: number;
      /** Connections that were answered 503, as the option `overload` says. */
      shed: number;
      /** Connections that wait for a worker now. */
      waiting: number;
      /** Workers that ended, by the reason of their `died`. */
      exits: { [reason in Death['reason']]?: number };
      reloads: number;
      reloadsFailed: number;
      /** How often the number of workers grew, and fell. */
      scaledUp: number;
      scaledDown: number;
      /** Drains that ended, and how long they took together, milliseconds. */
      drains: { count: number; total: number };
    };
    /** The slots that should have a worker; empty with `cluster: false`. */
    slots: SlotStatus[];
    /** What happened last, oldest first; 100 at most. */
    events: EventRecord[];
  }

  /** A JavaScript function under way. */
  export interface StackFrame {
    /** Empty if it has no name. */
    function: string;
    /** Path or URL; empty for code without a file. */
    file: string;
    /** From 1. */
    line: number;
    /** From 1. */
    column: number;
  }

  /** Why JavaScript cannot be interrupted; `events`: because none runs, the worker is idle. */
  export type WaitReason =
    | 'native code'
    | 'system call'
    | 'child process'
    | 'garbage collection'
    | 'stopped'
    | 'events';

  /** What a worker does where its JavaScript cannot be interrupted. */
  export interface Waiting {
    reason: WaitReason;
    /** The system call, `read`. */
    call?: string;
    /** The file that the system call is about. */
    file?: string;
    /** The child process that it waits for. */
    child?: { pid: number; command: string };
  }

  /** What a worker executes. */
  export interface Execution {
    /** The lines of `Error.stack`; `null`: JavaScript could not be interrupted, or does not run. */
    stack: string | null;
    /** The same, the innermost first; 30 at most. */
    frames: StackFrame[];
    /** What it does where JavaScript cannot be interrupted. */
    waiting: Waiting | null;
    /** Bytes; `null` without a stack. */
    heap: { used: number; limit: number } | null;
    /**
     * Garbage collections since the start, and how long they took, milliseconds; `current`: how
     * long the one under way has taken, or 0.
     */
    gc: { runs: number; total: number; current: number } | null;
  }

  /** An upgrade, as `status()` shows it. */
  export interface UpgradeProgress {
    /** The other master. */
    pid: number;
    state: 'starting' | 'taking over' | 'called off' | 'draining';
    /** Workers of the new master that are ready, of `target`, while it starts. */
    ready: number;
    target: number;
    /** Workers of the old master that are left, once the new one has taken over. */
    draining: number;
    /** What may go wrong, if anything, until the new one takes over. */
    warning: string | null;
  }

  /** How the number of workers follows their work (`maxWorkers`). */
  export interface ScalingStatus {
    /** The least workers: `noWorkers`, or what `scale()` has set. */
    min: number;
    /** The most workers: `maxWorkers`. */
    max: number;
    /**
     * The part of the last 10 s in which the workers' event loops were not idle, on average, from 0
     * to 1; `null`: no worker has been ready for so long.
     */
    utilization: number | null;
    /** What keeps the number from growing although there is work for more; `null`: there is not. */
    limitedBy: 'maxWorkers' | 'memory' | 'crashes' | null;
  }

  /**
   * The answer of `scale()`: the number of workers, and before. With `maxWorkers` it is the least of
   * them; there are `now` at present, and `max` at most.
   */
  export interface Scaled {
    before: number;
    workers: number;
    now?: number;
    max?: number;
  }

  /** The answer of `stack()`; `stuckFor` as in `status()`. */
  export type WorkerExecution = Execution & { pid: number; stuckFor: number | null };

  /** How a worker ended: with an exit code or by a signal, one of them `null`. */
  export interface Death {
    code: number | null;
    signal: NodeJS.Signals | 'SIGRT' | null;
    /**
     * `crash`: by itself; `start-timeout`: it did not listen within `startTimeout`; `spare`: one of
     * these, or `unresponsive`, of a spare, which served nobody; `leave`: it got
     * a SIGTERM of its own, or a SIGINT that its script handles; `recycle`: it passed a threshold;
     * `unresponsive`: its event loop was stuck; `reload`, `scale`, `shutdown`, `stop`: the method
     * of that name, or a signal that means the same.
     */
    reason: 'crash' | 'start-timeout' | 'spare' | 'leave' | 'reload' | 'recycle' | 'unresponsive' | 'scale' | 'shutdown' | 'stop' | 'upgrade';
    /** With `unresponsive`: as in the event of that name. */
    stack?: Execution['stack'];
    /** With `unresponsive`: as in the event of that name. */
    waiting?: Execution['waiting'];
  }

  /** Which process received a signal. */
  export interface SignalInfo {
    pid: number;
    type: 'master' | 'worker';
  }

  /** A listener of the event `E`. */
  export type Listener<E extends keyof Events> = (...args: Events[E]) => void;

  /** The events with the arguments of their listeners. */
  export interface Events {
    /** Master: a worker process was started. */
    forked: [pid: number];
    /** Master: a spare has run its script up to its `listen()`, and waits there. */
    spare: [pid: number];
    /** Master: a spare is told to listen. Worker: this one is, and it was a spare. */
    activated: [pid: number];
    /** Master: a worker listens. */
    listening: [pid: number];
    /** Master: a worker is gone, for any reason. */
    died: [pid: number, death: Death];
    /** Master: this process or a worker received SIGINT. Worker: this process did. */
    SIGINT: [info: SignalInfo];
    /** Master: this process or a worker received SIGTERM. Worker: this process did. */
    SIGTERM: [info: SignalInfo];
    /** Master: this process or a worker received SIGHUP. Worker: this process did. */
    SIGHUP: [info: SignalInfo];
    /** Master: a worker was ended by SIGKILL; comes before its `died`. */
    SIGKILL: [info: SignalInfo];
    /** Master: a reload starts the replacement of this worker; `replaced` of `total` are done. */
    reloading: [pid: number, progress: { slot: number; replaced: number; total: number }];
    /**
     * Master: a reload is complete. One that was asked for while it ran follows, with an event of
     * its own.
     */
    reload: [result: { replaced: number }];
    /** Master: another master was started to take over. */
    upgrading: [heir: { pid: number }];
    /** Master: another master has taken over, and nothing is left here. This process ends. */
    upgrade: [heir: { pid: number }];
    /** Master: this one has taken over from the master `pid`, of that version of cluster2-rs. */
    takeover: [former: { pid: number; version: string }];
    /**
     * Master: from now on there should be `to` workers. With `load`, their event loops were busy for
     * the part `utilization` of the last 10 s (`maxWorkers`); with `command`, `scale()` was called.
     */
    scale: [change: {
      from: number;
      to: number;
      reason: 'load' | 'command';
      utilization: number | null;
    }];
    /** Master: a worker passed a threshold, which `reason` names; its replacement is started. */
    recycle: [pid: number, cause: { reason: string }];
    /**
     * Master: a worker's event loop did not turn for `age` milliseconds; it is killed and replaced.
     */
    unresponsive: [pid: number, silence: { age: number } & Execution];
    /** Master: with `blockedAfter`, a worker's event loop has not turned for `duration` ms so far. */
    blocked: [pid: number, block: { duration: number } & Execution];
    /**
     * Master: with `overload`, connections are answered 503, `shed` of them so far. Not `active`:
     * none was for 5 s; `shed` were in all, within `duration` milliseconds.
     */
    overload: [overload: { active: boolean; shed: number; duration?: number }];
    /** Master: a message from the worker `pid`. Worker: a message from the master `pid`. */
    message: [pid: number, message: any];
    /**
     * Master: load balancers get DISABLED or WARNING from now on. The check of the worker `pid`
     * found `reason`; or, without `pid`, the master's own check did, or it was switched off.
     */
    disable: [cause: { reason: string; pid?: number }];
    /** Master: load balancers get the answer that all is well again. */
    enable: [];
    /**
     * Master: something that a person should know. Without a listener it is printed to standard
     * error.
     */
    warning: [warning: { message: string }];
    /** Each `heartbeatInterval`. Master: what `status()` resolves to. Worker: its own numbers. */
    heartbeat: [stats: Status | WorkerStats];
    /**
     * The start failed. Without a listener it is printed and the process exits with 255; a worker
     * exits in any case.
     */
    error: [error: StartError];
  }
}

export = Cluster;
