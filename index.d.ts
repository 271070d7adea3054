/// <reference types="node" />

import { EventEmitter } from 'node:events';
import * as http from 'node:http';
import * as net from 'node:net';

/**
 * A server script as a set of workers that share its ports.
 *
 * Until `listen()` an instance has no effect on the process. One that only calls `stop()`, `shutdown()` and the like speaks to
 * the cluster that runs in the same `pids` directory.
 */
declare class Cluster extends EventEmitter {
  /**
   * @throws {TypeError} `CLUSTER2_ERR_OPTION_UNKNOWN` or `CLUSTER2_ERR_OPTION_INVALID`, naming the option
   */
  constructor(options?: Cluster.Options);

  /**
   * Runs the app: in the master this starts the workers, in a worker (and with `cluster: false`) it serves. An error of the
   * start is emitted as `error`; without a listener for it, it is printed and the process exits with 255.
   * @param createApp calls back with the app, at once or later; it may be async. `monApp` is an HTTP app of your own on the
   * monitor's port: it runs in the master, gets requests first, and what it answers with 404 falls to the built-in pages
   * @param callback called when this process listens; in the master, when its first worker does
   * @throws {TypeError} `CLUSTER2_ERR_APP_INVALID` if an argument is not a function
   * @throws {Cluster.ClusterError} `CLUSTER2_ERR_WRONG_STATE` if `listen` was called before
   */
  listen(
    createApp: (callback: (app: Cluster.Apps, monApp?: Cluster.App) => void) => unknown,
    callback?: (app: Cluster.Apps, monApp: Cluster.App | undefined) => void,
  ): void;

  /**
   * Kills all workers, and the master if it is another process. Resolves when they are gone; to `{ running: false }` if none
   * ran.
   */
  stop(): Promise<Cluster.Left>;

  /**
   * Leaves gracefully, after `shutdownDelay`. Resolves when no new connection is accepted; with `wait`, when all workers are
   * gone; to `{ running: false }` if none ran.
   */
  shutdown(options?: { wait?: boolean }): Promise<Cluster.Left>;

  /**
   * Replaces all workers, one after another, each only after its replacement is ready. Resolves to the number of replaced
   * ones; rejects with `CLUSTER2_ERR_RELOAD_FAILED` and the reason if a replacement fails (how it ended, and the last lines
   * that it wrote to `process.stderr`), the old workers then stay.
   */
  reload(): Promise<{ replaced: number }>;

  /** Has all workers open their log files anew (`output: 'files'`), after a rotation. Resolves when all have. */
  reopenLogs(): Promise<{ workers: number }>;

  /**
   * Changes the number of workers. Resolves at once: workers start and drain after that.
   * @param workers 1 to 1024
   * @throws {TypeError} `CLUSTER2_ERR_ARGUMENT_INVALID` if it is not a whole number above 0
   */
  scale(workers: number): Promise<{ before: number; workers: number }>;

  /** The state of master and workers; `{ running: false }` if none runs. */
  status(): Promise<Cluster.Status | Cluster.NotRunning>;

  /**
   * Sends a message to one worker, where it arrives as `process.on('message')` and as the event `message`.
   * @param pid a worker's process id
   * @param message anything that JSON can hold
   * @throws {TypeError} `CLUSTER2_ERR_ARGUMENT_INVALID` if `pid` is not a whole number above 0
   */
  send(pid: number, message: unknown): Promise<{ sent: number }>;

  /** Sends a message to all workers; `sent` is the number of those that got it. */
  broadcast(message: unknown): Promise<{ sent: number }>;

  on<E extends keyof Cluster.Events>(event: E, listener: (...args: Cluster.Events[E]) => void): this;
  once<E extends keyof Cluster.Events>(event: E, listener: (...args: Cluster.Events[E]) => void): this;
  off<E extends keyof Cluster.Events>(event: E, listener: (...args: Cluster.Events[E]) => void): this;
  addListener<E extends keyof Cluster.Events>(event: E, listener: (...args: Cluster.Events[E]) => void): this;
  removeListener<E extends keyof Cluster.Events>(event: E, listener: (...args: Cluster.Events[E]) => void): this;
  prependListener<E extends keyof Cluster.Events>(event: E, listener: (...args: Cluster.Events[E]) => void): this;
  prependOnceListener<E extends keyof Cluster.Events>(event: E, listener: (...args: Cluster.Events[E]) => void): this;
}

declare namespace Cluster {
  export { Cluster };

  /** An error of the cluster. */
  export class ClusterError extends Error {
    constructor(code: string, message: string, options?: { cause?: unknown });
    readonly name: 'ClusterError';
    /** Stable: `CLUSTER2_ERR_…`, listed in the README. */
    code: string;
  }

  /** A TCP port from 0 to 65535 (0: the kernel chooses), also as a numeric string; or the path of a unix socket; of the app also `systemd:<name>`. */
  export type Port = number | string;

  /** A number, also as a numeric string such as `process.env` holds. */
  export type Numeric = number | string;

  /** What one server runs: a net, http, https, http2 or tls server, an Express, Connect, Koa or Fastify app. */
  export type App = net.Server | http.RequestListener | KoaLike | FastifyLike;

  /** An app for the ports of the `port` option, or several apps with a port each. */
  export type Apps = App | Array<{ app: App; port: number | string }>;

  /** What makes an object a Koa app. */
  export interface KoaLike {
    callback(): (request: http.IncomingMessage, response: http.ServerResponse) => unknown;
    use(...args: any[]): unknown;
  }

  /** What makes an object a Fastify instance; its `ready()` is awaited before it serves. */
  export interface FastifyLike {
    server: net.Server;
    ready(): PromiseLike<unknown>;
    inject(...args: any[]): unknown;
  }

  export interface Options {
    /** `false`: one process without workers. Default `true`. */
    cluster?: boolean;
    /** Where the app listens: a port, the path of a unix socket, or a list of them. Default 3000. */
    port?: Port | Port[];
    /** Address or name that TCP ports are bound to. Default `'0.0.0.0'`. */
    host?: string;
    /** Number of workers, 1 to 1024. Default: the number of processors this process may use. */
    noWorkers?: Numeric;
    /** Directory of pid files and the control socket. Default `'pids'`. */
    pids?: string;
    /** Directory of logs that the monitor shows. Default `'logs'`. */
    logs?: string;
    /** Where workers' standard output and error go: the master's, the same with a prefix, or files in `logs`. Default `'inherit'`. */
    output?: 'inherit' | 'prefix' | 'files';
    /** Where the monitor listens; `false` turns it off. Default 3001. */
    monPort?: Port | false;
    /** Address of the monitor. Default `'127.0.0.1'`. */
    monHost?: string;
    /** Path of the monitor's page, from `/`. Default `'/'`. */
    monPath?: string;
    /** The health check for load balancers; `false` turns it off. */
    ecv?: boolean | EcvOptions;
    /** A connection on which nothing moves for so long is ended, milliseconds; 0 turns it off. Default 30000. */
    timeout?: Numeric;
    /** Recycle a worker after so many connections, and up to half as many more. Default: never. */
    connThreshold?: Numeric;
    /** Recycle a worker that has been ready for so many seconds, and up to half as many more. Default: never. */
    uptimeThreshold?: Numeric;
    /** Recycle a worker with so many bytes of resident memory, and up to half as many more. Default: never. */
    memThreshold?: Numeric;
    /** How connections are spread over the workers. Default `'least-connections'`. */
    balance?: 'least-connections' | 'round-robin' | 'ip-hash';
    /** How long a worker may take from its start until it listens, milliseconds from 1. Default 30000. */
    startTimeout?: Numeric;
    /** How long a drain may take before the worker is killed, milliseconds from 1. Default 30000. */
    shutdownTimeout?: Numeric;
    /** From the request of a shutdown until no new connection is accepted, milliseconds. Default 0. */
    shutdownDelay?: Numeric;
    /** Interval of the event `heartbeat`, milliseconds from 10. Default 5000. */
    heartbeatInterval?: Numeric;
    /** A worker whose event loop did not turn for so long is killed and replaced, milliseconds from 1000. Default 30000. */
    maxHeartbeatDelay?: Numeric;
    /** Script that workers run. Default: the master's own. */
    exec?: string;
    /** Arguments of the workers' script. Default: the master's own. */
    args?: Array<string | number>;
    /** Node's own flags for workers. Default: the master's own. */
    execArgv?: Array<string | number>;
    /** Variables added to the workers' environment. Default: none. */
    env?: Record<string, string | number>;
    /** Working directory of workers. Default: the master's own. */
    cwd?: string;
  }

  /** The `ecv` option. */
  export interface EcvOptions {
    /** Path of the health check on the app's port, from `/`. Default `'/ecv'`. */
    path?: string;
    /** Path on the app, or http or https URL, that must answer 2xx for the check to be well. Default: none. */
    monitor?: string;
    /** Whether `POST <path>/disable` and `<path>/enable` are served. Default `false`. */
    control?: boolean;
    /**
     * Judges the health of the app; `false`, a throw, a rejection or no answer within `timeout` is WARNING. Its arguments are the
     * answer of `monitor`; without one, `undefined, {}, ''`. Default: none.
     */
    validator?: (status: number | undefined, headers: Record<string, string>, body: string) => unknown;
    /** Bound of one probe, and of one call of the validator, milliseconds from 1. Default 5000. */
    timeout?: Numeric;
    /** Bearer token without which nobody may switch. Default: none. */
    token?: string;
    /** Addresses and CIDRs from which alone one may switch, at least one. Default: all. */
    allow?: string[];
  }

  /** The answer where no cluster runs. */
  export interface NotRunning {
    running: false;
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
    /** Its place, from 0; a replacement takes over the place. */
    slot: number;
    /** Which process in that place it is, from 1. */
    generation: number;
    state: 'starting' | 'ready' | 'draining' | 'killed';
    /** ISO 8601. */
    startedAt: string;
    /** How often the worker in that place was replaced. */
    restarts: number;
  }

  export interface Status {
    running: true;
    master: {
      pid: number;
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
      /** How many workers there should be; 0 with `cluster: false`. */
      target: number;
      /** Where the monitor listens, `host:port` or a path; `null`: it is off. */
      monitor: string | null;
      /** Resident memory, bytes. */
      rss: number;
      /** Processor time, milliseconds. */
      cpu: number;
    };
    workers: WorkerStatus[];
    ecv: {
      /** Whether the health check was switched off. */
      disabled: boolean;
      /** When it was last switched, ISO 8601; at first, the start. */
      since: string;
      /** Workers whose last check found something wrong. */
      unhealthy: Array<{ pid: number; reason: string }>;
    };
    /** Counters since the start, workers that are gone included. */
    totals: {
      connections: number;
      timedOut: number;
      requests: number;
      /** Connections handed to workers, repeated ones included. */
      handed: number;
      /** Connections taken back from workers that died or did not take them in time. */
      reclaimed: number;
      /** Connections that workers gave back for another one. */
      moved: number;
      /** Connections that wait for a worker now. */
      waiting: number;
      /** Workers that ended, by the reason of their `died`. */
      deaths: { [reason in Death['reason']]?: number };
      reloads: number;
      reloadsFailed: number;
      /** Drains that ended, and how long they took together, milliseconds. */
      drains: { count: number; total: number };
    };
  }

  /** How a worker ended: with an exit code or by a signal, one of them `null`. */
  export interface Death {
    code: number | null;
    signal: NodeJS.Signals | 'SIGRT' | null;
    /**
     * `crash`: nobody asked it to; `start-timeout`: it did not listen within `startTimeout`; `leave`: it got a SIGTERM of its
     * own; `recycle`: it passed a threshold; `unresponsive`: its event loop was stuck; `reload`, `scale`, `shutdown`, `stop`:
     * the method of that name, or a signal that means the same.
     */
    reason: 'crash' | 'start-timeout' | 'leave' | 'reload' | 'recycle' | 'unresponsive' | 'scale' | 'shutdown' | 'stop';
  }

  /** Which process received a signal. */
  export interface SignalInfo {
    pid: number;
    type: 'master' | 'worker';
  }

  /** The events with their arguments. */
  export interface Events {
    /** Master: a worker process was started. */
    forked: [pid: number];
    /** Master: a worker listens. */
    listening: [pid: number];
    /** Master: a worker is gone, for whatever reason. */
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
    /** Master: a reload is complete. */
    reload: [result: { replaced: number }];
    /** Master: a worker passed a threshold, which `reason` names; its replacement is started. */
    recycle: [pid: number, cause: { reason: string }];
    /** Master: a worker's event loop did not turn for `age` milliseconds; it is killed and replaced. */
    unresponsive: [pid: number, silence: { age: number }];
    /** Master: a message from the worker `pid`. Worker: a message from the master `pid`. */
    message: [pid: number, message: any];
    /**
     * Master: load balancers are told to send no more clients, because the check of the worker `pid` found `reason`, or, without
     * `pid`, because the master's own on the monitor's port did, or because it was switched off.
     */
    disable: [cause: { reason: string; pid?: number }];
    /** Master: load balancers are told to send clients again. */
    enable: [];
    /** Master: something a person should know. Without a listener it is printed to standard error. */
    warning: [warning: { message: string }];
    /** Each `heartbeatInterval`. Master: what `status()` resolves to. Worker: its own numbers. */
    heartbeat: [stats: Status | WorkerStats];
    /** The start failed. Without a listener it is printed and the process exits with 255; a worker exits in any case. */
    error: [error: Error & { code?: string }];
  }
}

export = Cluster;
