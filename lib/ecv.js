'use strict';

// The health check for load balancers on the app's port: a hook in front of the app answers it, with the addon's words. What
// always holds: a request of the health check never reaches the app, unless it asks for an upgrade; any other request
// reaches it unchanged.

const { isSecure } = require('./adapt');
const { isHttp1, isHttp2 } = require('./traffic');
const { validate } = require('./validate');
const { describe, shorten } = require('./words');

// As `NativeEcv.route` numbers them.
const CHECK = 1;
const DISABLE = 3;
const SLASH = '/'.charCodeAt(0);

/** An address for people: IPv4 as such also where it came in on an IPv6 socket. */
const plain = (address) => address?.replace(/^::ffff:(?=\d+\.)/, '');

/** Where a listening server is reached (`Place` of `src/binding/ecv.rs`). */
function placeOf(server) {
  const address = server.address();
  const secure = isSecure(server);
  if (typeof address === 'string') return { path: address, secure };
  return { address: address.address, port: address.port, secure };
}

/** The health of a process' servers together, told when it changes, and with the first check. */
class Health {
  #tell;
  #problems = new Map();
  #told;

  constructor(tell) {
    this.#tell = tell;
  }

  found(server, problem) {
    if (problem) this.#problems.set(server, problem);
    else this.#problems.delete(server);
    const [worst = null] = this.#problems.values();
    const isWell = worst === null;
    if (isWell === this.#told) return;
    this.#told = isWell;
    this.#tell.checked(worst);
  }
}

class Ecv {
  #config;
  #path;
  #server;
  #onlyUnix;
  #tell;
  #health;
  #addon;
  #running;

  /** See `guard`. */
  constructor(config, { server, ports }, tell, health, makeNative) {
    this.#config = config;
    this.#path = config.ecv.path.replace(/\/+$/, '');
    this.#server = server;
    this.#onlyUnix = ports.every((port) => typeof port === 'string');
    this.#tell = tell;
    this.#health = health;
    const make = () => (this.#addon = makeNative(JSON.stringify(config.ecv), JSON.stringify(placeOf(server))));
    server.prependOnceListener('listening', make);
    this.#hook();
  }

  // Before any listener of the app, also of those that are added later. Only Node itself emits these events.
  #hook() {
    const { emit } = this.#server;
    const path = this.#path;
    // A whole URL instead of a path is what some proxies send.
    const mayBe = (target) => target.startsWith(path) || target.charCodeAt(0) !== SLASH;
    const serve = (request, response) => this.#serve(request, response);
    const serveStream = (stream, headers) => this.#serveStream(stream, headers);
    this.#server.emit = function (event, first, second) {
      if (event === 'request' || event === 'checkContinue') {
        if (mayBe(first.url) && serve(first, second)) return true;
      } else if (event === 'stream' && isHttp2(this) && second[':path']?.startsWith(path) && serveStream(first, second)) {
        return true;
      }
      return emit.apply(this, arguments);
    };
  }

  #serve(request, response) {
    const route = this.#addon?.route(request.method, request.url) ?? 0;
    if (route === 0) return false;
    request.resume();
    this.#answer(route, request.socket, request.headers, (answer) => write(request, response, answer));
    return true;
  }

  #serveStream(stream, headers) {
    const route = this.#addon?.route(headers[':method'], headers[':path']) ?? 0;
    if (route === 0) return false;
    stream.resume();
    // A client that goes away while its answer is being found is nobody's error.
    stream.on('error', () => {});
    this.#answer(route, stream.session.socket, headers, (answer) => writeStream(stream, headers, answer));
    return true;
  }

  async #answer(route, socket, headers, write) {
    const { localAddress, localPort, remoteAddress } = socket;
    if (route !== CHECK) return write(this.#switch(route === DISABLE, plain(remoteAddress), headers));
    const problem = this.#addon.isDisabled() ? undefined : await this.#problem();
    const port = localPort ?? this.#server.address() ?? '';
    write(this.#addon.answer(plain(localAddress) ?? '127.0.0.1', String(port), problem));
  }

  // A client that has reset its connection has no address any more: that must not make it one of a unix socket, which may.
  #switch(disabled, address, { authorization, origin }) {
    const client = address ?? (this.#onlyUnix ? undefined : '');
    const refused = this.#addon.refusal(client, authorization, origin !== undefined);
    if (refused) {
      if (refused.warning) this.#try(() => this.#tell.warn(refused.warning));
      return refused.answer;
    }
    const { changed, answer } = this.#addon.switch(disabled);
    if (changed) this.#try(() => this.#tell.switched(disabled, address ?? (this.#onlyUnix ? 'a unix socket' : 'somebody')));
    return answer;
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

// Node adds only what the manual shows too: `Transfer-Encoding: chunked`.
function write(request, response, [status, reason, body, ...headers]) {
  if (response.destroyed) return;
  const connection = headers.indexOf('Connection') + 1;
  if (!response.shouldKeepAlive || request.httpVersion === '1.0') headers[connection] = 'close';
  response.sendDate = false;
  response.writeHead(Number(status), reason, headers);
  if (body !== '') response.write(body);
  response.end();
}

function writeStream(stream, request, [status, , body, ...headers]) {
  if (stream.destroyed) return;
  const fields = { ':status': Number(status) };
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
  #makeNative;
  #health;

  /**
   * @param {object} config the options; without `ecv` there is none
   * @param {{ checked: Function, switched: Function, warn: Function }} tell told of health (a problem or `null`), of a switch,
   *   and of refusals
   * @param {(config: string, place: string) => NativeEcv} makeNative
   */
  constructor(config, tell, makeNative) {
    this.#config = config;
    this.#tell = tell;
    this.#makeNative = makeNative;
    this.#health = new Health(tell);
  }

  /**
   * Answers on a server, if it speaks HTTP.
   * @param {{ server: net.Server, ports: Array<number|string> }} app before it listens
   */
  guard(app) {
    if (!this.#config.ecv || !(isHttp1(app.server) || isHttp2(app.server))) return;
    new Ecv(this.#config, app, this.#tell, this.#health, this.#makeNative);
  }
}

module.exports = { HealthCheck, placeOf };
