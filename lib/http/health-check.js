'use strict';

// The health check for load balancers on the app's port: a hook in front of the app answers it, with the addon's words. What
// always holds: a request of the health check never reaches the app, unless it asks for an upgrade; any other request
// reaches it unchanged.

const { isHttp1, isHttp2 } = require('./server-kind');
const { validate } = require('./validator');
const { endpointOf } = require('./endpoint');
const { describe, shorten } = require('../text');

// As `NativeEcv.route` numbers them.
const CHECK = 1;
const DISABLE = 3;
const SLASH = '/'.charCodeAt(0);
// Numbers of `Header` (`src/os/scoreboard.rs`).
const SWITCHED = 0;
const LEAVING = 1;

/** An address for people: IPv4 as such also where it came in on an IPv6 socket. */
const plain = (address) => address?.replace(/^::ffff:(?=\d+\.)/, '');

/** The health of a process' listening servers together, told when it changes, and with the first check. */
class Health {
  #tell;
  /** What the last check of each server found; `null`: nothing. */
  #problems = new Map();
  #told;

  constructor(tell) {
    this.#tell = tell;
  }

  found(server, problem) {
    this.#problems.set(server, problem ?? null);
    this.#judge();
  }

  /** A server was closed: what was wrong with it is wrong no more. */
  closed(server) {
    if (this.#problems.delete(server)) this.#judge();
  }

  // Without a server that was checked, nobody knows.
  #judge() {
    for (const server of this.#problems.keys()) if (!server.listening) this.#problems.delete(server);
    if (this.#problems.size === 0) return;
    const worst = [...this.#problems.values()].find((problem) => problem !== null) ?? null;
    const isWell = worst === null;
    if (isWell === this.#told) return;
    this.#told = isWell;
    this.#tell.checked(worst);
  }
}

class HealthHook {
  #config;
  #path;
  #server;
  #onlyUnix;
  #tell;
  #health;
  #addon;
  #header;
  #running;
  /** What was asked last, and what came of it: load balancers ask the same all the time. */
  #routed = {};
  #answered = {};

  /** See `guard`. */
  constructor(config, { server, ports }, tell, health, { header, makeNative }) {
    this.#config = config;
    this.#path = config.ecv.path.replace(/\/+$/, '');
    this.#server = server;
    this.#onlyUnix = ports.every((port) => typeof port === 'string');
    this.#tell = tell;
    this.#health = health;
    this.#header = header;
    const make = () => (this.#addon ??= makeNative(JSON.stringify(config.ecv), JSON.stringify(endpointOf(server))));
    this.#hook(make);
  }

  // Before any listener of the app, also of those that are added later, and of a tracer's. Only Node itself emits these events.
  #hook(make) {
    const { emit } = this.#server;
    const path = this.#path;
    // A whole URL instead of a path is what some proxies send.
    const mayBe = (target) => target.startsWith(path) || target.charCodeAt(0) !== SLASH;
    const serve = (request, response) => this.#serve(request, response);
    const serveStream = (stream, headers) => this.#serveStream(stream, headers);
    const closed = () => this.#try(() => this.#health.closed(this.#server));
    const hooked = function (event, first, second) {
      if (event === 'request' || event === 'checkContinue') {
        if (mayBe(first.url) && serve(first, second)) return true;
      } else if (event === 'stream' && isHttp2(this) && second[':path']?.startsWith(path) && serveStream(first, second)) {
        return true;
      } else if (event === 'listening') {
        make();
      } else if (event === 'close' && !this.listening) {
        closed();
      }
      return emit.apply(this, arguments);
    };
    Object.defineProperty(this.#server, 'emit', { value: hooked, configurable: true, writable: true });
  }

  #route(method, target) {
    const last = this.#routed;
    if (last.method === method && last.target === target) return last.route;
    const route = this.#addon?.route(method, target) ?? 0;
    if (this.#addon) this.#routed = { method, target, route };
    return route;
  }

  #serve(request, response) {
    const route = this.#route(request.method, request.url);
    if (route === 0) return false;
    this.#answer(route, request.socket, request, (answer) => write(request, response, answer));
    return true;
  }

  #serveStream(stream, headers) {
    const route = this.#route(headers[':method'], headers[':path']);
    if (route === 0) return false;
    stream.resume();
    // A client that goes away while its answer is being found is nobody's error.
    stream.on('error', () => {});
    this.#answer(route, stream.session.socket, { headers }, (answer) => writeStream(stream, headers, answer));
    return true;
  }

  // Node parses the headers of an HTTP/1 request when they are asked for: a check is answered without.
  #answer(route, socket, request, write) {
    if (route !== CHECK) return write(this.#switch(route === DISABLE, plain(socket.remoteAddress), request.headers));
    // DISABLED it is whatever a probe would find.
    const isDisabled = this.#header[SWITCHED] < 0 || this.#header[LEAVING] > 0;
    const finding = isDisabled ? undefined : this.#problem();
    if (finding === undefined) return write(this.#check(socket));
    return finding.then((problem) => write(this.#check(socket, problem)));
  }

  // The same for all who ask within a second, as that is how exactly it tells the time.
  #check({ localAddress, localPort }, problem) {
    const last = this.#answered;
    const second = Math.floor(Date.now() / 1000);
    const switched = this.#header[SWITCHED];
    const leaving = this.#header[LEAVING];
    if (
      last.switched === switched && last.leaving === leaving && last.second === second && last.problem === problem &&
      last.address === localAddress && last.port === localPort
    ) return last.answer;
    const port = localPort ?? this.#server.address() ?? '';
    const answer = toAnswer(this.#addon.answer(plain(localAddress) ?? '127.0.0.1', String(port), problem));
    this.#answered = { switched, leaving, second, problem, address: localAddress, port: localPort, answer };
    return answer;
  }

  // A client that has reset its connection has no address any more: that must not make it one of a unix socket, which may.
  #switch(disabled, address, { authorization, origin }) {
    const client = address ?? (this.#onlyUnix ? undefined : '');
    const refused = this.#addon.refusal(client, authorization, origin !== undefined);
    if (refused) {
      if (refused.warning) this.#try(() => this.#tell.warn(refused.warning));
      return toAnswer(refused.answer);
    }
    const { changed, answer } = this.#addon.switch(disabled);
    if (changed) this.#try(() => this.#tell.switched(disabled, address ?? (this.#onlyUnix ? 'a unix socket' : 'somebody')));
    return toAnswer(answer);
  }

  // A master that takes no reports does not keep the answer from the client.
  #try(tell) {
    try {
      tell();
    } catch {
      // It is told when the master takes reports again, by status() at the latest.
    }
  }

  // Whoever asks while it is being found waits for the same verdict. Without monitor and validator there is nothing to find.
  #problem() {
    if (!this.#config.ecv.monitor && !this.#config.validator) return undefined;
    this.#running ??= this.#examine().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #examine() {
    const problem = await this.#find().catch((error) => `the check failed: ${describe(error)}`);
    this.#try(() => this.#health.found(this.#server, problem));
    return problem;
  }

  async #find() {
    const { monitor, timeout } = this.#config.ecv;
    const found = monitor ? JSON.parse(await this.#addon.probe()) : {};
    if (found.problem) return shorten(found.problem);
    const { validator } = this.#config;
    return validator ? validate(validator, found.answered, timeout) : undefined;
  }
}

/** What the addon answers (`print` of `src/binding/health.rs`), as it is written. */
function toAnswer([status, reason, body, ...headers]) {
  const connection = headers.indexOf('Connection') + 1;
  const closing = headers.map((text, index) => (index === connection ? 'close' : text));
  const size = Buffer.byteLength(body);
  const chunk = `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  // Of plain ASCII, Node need not find out how long it is as UTF-8.
  const encoding = size === body.length ? 'latin1' : 'utf8';
  return { status: Number(status), reason, headers, closing, body, chunk, encoding };
}

// Node reads what the request may still bring, once it is answered, and adds only what the manual shows too: `Transfer-Encoding:
// chunked`. The one chunk is written as such here, so that head and body are one write; Node would make six of them.
function write(request, response, { status, reason, headers, closing, body, chunk, encoding }) {
  if (response.destroyed) return;
  response.sendDate = false;
  response.writeHead(status, reason, response.shouldKeepAlive && request.httpVersion !== '1.0' ? headers : closing);
  if (!response.chunkedEncoding) return response.end(body);
  response.chunkedEncoding = false;
  response.end(chunk, encoding);
}

function writeStream(stream, request, { status, headers, body }) {
  if (stream.destroyed) return;
  const fields = { ':status': status };
  for (let i = 0; i < headers.length; i += 2) {
    // Of one connection, which HTTP/2 manages itself.
    if (headers[i] !== 'Connection') fields[headers[i].toLowerCase()] = headers[i + 1];
  }
  stream.respond(fields);
  stream.end(request[':method'] === 'HEAD' ? undefined : body);
}

/** The health check of a process. */
class HealthCheck {
  #config;
  #tell;
  #process;
  #health;

  /**
   * @param {object} config the options; without `ecv` there is none
   * @param {{ checked: Function, switched: Function, warn: Function }} tell told of health (a problem or `null`), of a switch,
   *   and of refusals
   * @param {{ header: Float64Array, makeNative: (config: string, place: string) => NativeEcv }} process the scoreboard's header,
   *   of which there is one in a process, as V8 wants it of shared memory
   */
  constructor(config, tell, process) {
    this.#config = config;
    this.#tell = tell;
    this.#process = process;
    this.#health = new Health(tell);
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
