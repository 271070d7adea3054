'use strict';

// The health check for load balancers on the app's port: a hook in front of the app answers it, in
// the addon's words. What always holds: a request of the health check never reaches the app, unless
// it asks for an upgrade; any other request reaches it unchanged.

const { describe, native, shorten } = require('../errors');
const { Route } = require('../native');
const { endpointOf } = require('./endpoint');
const { Health } = require('./health');
const { toAnswer, write, writeStream } = require('./health-answer');
const { emitBefore } = require('./server-events');
const { isHttp1, isHttp2 } = require('./server-kind');
const { validate } = require('./validator');

// Indexes into `Header` (`src/os/scoreboard/header.rs`).
const SWITCHED = 0;
const LEAVING = 1;
const SLASH = '/'.charCodeAt(0);

/** An address for people: IPv4 as such, also where it came in on an IPv6 socket. */
const plain = (address) => address?.replace(/^::ffff:(?=\d+\.)/, '');

/** The monitor URI of `server`. Only the main addon can probe it. */
function monitorUriOf(ecv, server) {
  const { NativeMonitorUri } = require('../native-main');
  const endpoint = JSON.stringify(endpointOf(server));
  return native(() => new NativeMonitorUri(JSON.stringify(ecv), endpoint));
}

/** The health check in front of one server. */
class HealthHook {
  #config;
  #path;
  #server;
  #onlyUnix;
  #tell;
  #health;
  #addon;
  #monitorUri;
  #header;
  #running;
  // Load balancers ask the same all the time.
  #lastRoute = {};
  #lastAnswer = {};

  /** See `HealthCheck`. */
  constructor(config, { server, ports }, tell, health, { header, makeNative }) {
    this.#config = config;
    this.#path = config.ecv.path.replace(/\/+$/, '');
    this.#server = server;
    this.#onlyUnix = ports.every((port) => typeof port === 'string');
    this.#tell = tell;
    this.#health = health;
    this.#header = header;
    this.#hook(() => {
      if (this.#addon) return;
      this.#addon = makeNative(JSON.stringify(config.ecv));
      if (config.ecv.monitor) this.#monitorUri = monitorUriOf(config.ecv, server);
    });
  }

  // Before any listener of the app, also of those that are added later, and of a tracer's. Only
  // Node itself emits these events.
  #hook(make) {
    const path = this.#path;
    // Some proxies send a whole URL instead of a path.
    const mayBe = (target) => target.startsWith(path) || target.charCodeAt(0) !== SLASH;
    const serve = (request, response) => this.#serve(request, response);
    const serveStream = (stream, headers) =>
      headers[':path']?.startsWith(path) && this.#serveStream(stream, headers);
    const closed = () => this.#try(() => this.#health.closed(this.#server));
    emitBefore(this.#server, (emitBehind) => function (event, first, second) {
      if (event === 'request' || event === 'checkContinue') {
        if (mayBe(first.url) && serve(first, second)) return true;
      } else if (event === 'stream' && isHttp2(this)) {
        if (serveStream(first, second)) return true;
      } else if (event === 'listening') {
        make();
      } else if (event === 'close' && !this.listening) {
        closed();
      }
      return Reflect.apply(emitBehind(), this, arguments);
    });
  }

  #route(method, target) {
    const last = this.#lastRoute;
    if (last.method === method && last.target === target) return last.route;
    const route = this.#addon?.route(method, target) ?? Route.App;
    if (this.#addon) this.#lastRoute = { method, target, route };
    return route;
  }

  /** Returns whether it answers the request. */
  #serve(request, response) {
    const route = this.#route(request.method, request.url);
    if (route === Route.App) return false;
    this.#answer(route, request.socket, request, (answer) => write(request, response, answer));
    return true;
  }

  #serveStream(stream, headers) {
    const route = this.#route(headers[':method'], headers[':path']);
    if (route === Route.App) return false;
    // One that its client has reset already has no session any more.
    if (stream.destroyed) return true;
    stream.resume();
    // A client may go away while its answer is being found.
    stream.on('error', () => {});
    const finish = (answer) => writeStream(stream, headers, answer);
    this.#answer(route, stream.session.socket, { headers }, finish);
    return true;
  }

  // Node parses the headers of an HTTP/1 request when they are asked for: a check needs none.
  #answer(route, socket, request, finish) {
    if (route !== Route.Check) {
      const address = plain(socket.remoteAddress);
      return finish(this.#switch(route === Route.Disable, address, request.headers));
    }
    // The answer is DISABLED, whatever a probe would find.
    const isDisabled = this.#header[SWITCHED] < 0 || this.#header[LEAVING] > 0;
    const finding = isDisabled ? undefined : this.#problem();
    if (finding === undefined) return finish(this.#check(socket));
    // The socket of an HTTP/2 session can be asked for nothing once the client is gone.
    const { localAddress, localPort } = socket;
    const at = { localAddress, localPort };
    return finding.then((problem) => finish(this.#check(at, problem)));
  }

  // Within a second the answer is the same, as it names the time in seconds.
  #check({ localAddress: address, localPort: port }, problem) {
    const last = this.#lastAnswer;
    const second = Math.floor(Date.now() / 1000);
    const switched = this.#header[SWITCHED];
    const leaving = this.#header[LEAVING];
    const isSameState = last.switched === switched && last.leaving === leaving;
    const isSame = isSameState && last.second === second && last.problem === problem;
    if (isSame && last.address === address && last.port === port) return last.answer;
    const shown = String(port ?? this.#server.address() ?? '');
    const answer = toAnswer(this.#addon.answer(plain(address) ?? '127.0.0.1', shown, problem));
    this.#lastAnswer = { switched, leaving, second, problem, address, port, answer };
    return answer;
  }

  // A client that has reset its connection has no address any more, as one of a unix socket; but
  // only the latter may switch.
  #switch(disabled, address, { authorization, origin }) {
    const client = address ?? (this.#onlyUnix ? undefined : '');
    const isFromPage = origin !== undefined;
    const switched = this.#addon.switch(disabled, client, authorization, isFromPage);
    const { answer, changed, warning } = switched;
    if (warning) this.#try(() => this.#tell.warn(warning));
    const by = address ?? (this.#onlyUnix ? 'a unix socket' : 'somebody');
    if (changed) this.#try(() => this.#tell.switched(disabled, by));
    return toAnswer(answer);
  }

  // A master that takes no reports does not keep the answer from the client. It learns of it as
  // soon as it takes reports again, by status() at the latest.
  #try(tell) {
    try {
      tell();
    } catch {
      // As above.
    }
  }

  // Requests that come while it is being found get the same verdict. Without monitor and validator
  // there is nothing to find.
  #problem() {
    if (!this.#config.ecv.monitor && !this.#config.validator) return undefined;
    this.#running ??= this.#examine().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #examine() {
    const failed = (error) => `the check failed: ${describe(error)}`;
    const problem = await this.#find().catch(failed);
    this.#try(() => this.#health.found(this.#server, problem));
    return problem;
  }

  async #find() {
    const { monitor, timeout } = this.#config.ecv;
    const found = monitor ? JSON.parse(await this.#monitorUri.probe()) : {};
    if (found.problem) return shorten(found.problem);
    const { validator } = this.#config;
    return validator ? validate(validator, found.answered, timeout) : undefined;
  }
}

/** The health check of a process. */
class HealthCheck {
  #config;
  #tell;
  #process;
  #health;

  /**
   * @param {object} config the options; without `ecv` there is no check
   * @param {object} tell
   * @param {(problem: ?string) => void} tell.checked the health of the process changed
   * @param {(disabled: boolean, by: string) => void} tell.switched a client switched the check
   * @param {(message: string) => void} tell.warn a client was refused
   * @param {object} process
   * @param {Float64Array} process.header the scoreboard's header. V8 wants one array of shared
   *   memory in a process
   * @param {(ecv: string) => NativeHealthCheck} process.makeNative
   */
  constructor(config, tell, process) {
    this.#config = config;
    this.#tell = tell;
    this.#process = process;
    this.#health = new Health((problem) => tell.checked(problem));
  }

  /**
   * Answers on a server, if it speaks HTTP.
   * @param {{ server: net.Server, ports: Array<number|string> }} app before it listens
   */
  guard(app) {
    if (!this.#config.ecv || !(isHttp1(app.server) || isHttp2(app.server))) return;
    new HealthHook(this.#config, app, this.#tell, this.#health, this.#process);
  }
}

module.exports = { HealthCheck };
