'use strict';

// The health check for load balancers on the app's port: a hook in front of the app answers it, with the addon's words. What
// always holds: a request of the health check never reaches the app; any other request reaches it unchanged.

const { isHttp1, isHttp2 } = require('./traffic');
const { validate } = require('./validate');
const { shorten } = require('./words');

// As `NativeEcv.route` numbers them.
const CHECK = 1;
const DISABLE = 3;

/** An address for people: IPv4 as such also where it came in on an IPv6 socket. */
const plain = (address) => address?.replace(/^::ffff:(?=\d+\.)/, '');

/** Where a listening server is reached (`Place` of `src/binding/ecv.rs`). */
function placeOf(server) {
  const address = server.address();
  const secure = typeof server.setSecureContext === 'function';
  if (typeof address === 'string') return { path: address, secure };
  return { address: address.address, port: address.port, secure };
}

class Ecv {
  #config;
  #path;
  #server;
  #tell;
  #native;
  #makeNative;
  #running;
  #wasWell = true;

  /**
   * @param {object} config the options
   * @param {net.Server} server the app's
   * @param {{ checked: Function, switched: Function, warn: Function }} tell told of a change of health, of a switch, of refusals
   * @param {(config: string, place: string) => NativeEcv} makeNative
   */
  constructor(config, server, tell, makeNative) {
    this.#config = config;
    this.#path = config.ecv.path.replace(/\/+$/, '');
    this.#server = server;
    this.#tell = tell;
    this.#makeNative = makeNative;
    this.#hook();
  }

  // Before any listener of the app, also of those that are added later. Only Node itself emits these events.
  #hook() {
    const { emit } = this.#server;
    const path = this.#path;
    const serve = (request, response) => this.#serve(request, response);
    const serveStream = (stream, headers) => this.#serveStream(stream, headers);
    this.#server.emit = function (event, first, second) {
      if (event === 'request' || event === 'checkContinue') {
        if (first.url.startsWith(path) && serve(first, second)) return true;
      } else if (event === 'stream' && isHttp2(this) && second[':path']?.startsWith(path) && serveStream(first, second)) {
        return true;
      }
      return emit.apply(this, arguments);
    };
  }

  // Where it listens is known by the time of its first request.
  get #addon() {
    this.#native ??= this.#makeNative(JSON.stringify(this.#config.ecv), JSON.stringify(placeOf(this.#server)));
    return this.#native;
  }

  #serve(request, response) {
    const route = this.#addon.route(request.method, request.url);
    if (route === 0) return false;
    request.resume();
    this.#answer(route, request.socket, request.headers, (answer) => write(request, response, answer));
    return true;
  }

  #serveStream(stream, headers) {
    const route = this.#addon.route(headers[':method'], headers[':path']);
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

  #switch(disabled, client, { authorization, origin }) {
    const refused = this.#addon.refusal(client, authorization, origin !== undefined);
    if (refused) {
      if (refused.warning) this.#tell.warn(refused.warning);
      return refused.answer;
    }
    const { changed, answer } = this.#addon.switch(disabled);
    if (changed) this.#tell.switched(disabled, client ?? 'a unix socket');
    return answer;
  }

  // Whoever asks while it is being found waits for the same verdict. Without monitor and validator there is nothing to find.
  #problem() {
    if (!this.#config.ecv.monitor && !this.#config.validator) return undefined;
    this.#running ??= this.#examine().finally(() => (this.#running = undefined));
    return this.#running;
  }

  #validate(answered, timeout) {
    const { validator } = this.#config;
    return validator ? validate(validator, answered, timeout) : undefined;
  }

  async #examine() {
    const { monitor, timeout } = this.#config.ecv;
    const found = monitor ? JSON.parse(await this.#addon.probe()) : {};
    const problem = found.problem ? shorten(found.problem) : await this.#validate(found.answered, timeout);
    const isWell = problem === undefined;
    if (isWell !== this.#wasWell) this.#tell.checked(problem);
    this.#wasWell = isWell;
    return problem;
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

/**
 * Answers the health check on these servers, as far as they speak HTTP and it is on; see the constructor of `Ecv`.
 * @param {net.Server[]} servers
 */
function guard(servers, config, tell, makeNative) {
  if (!config.ecv) return;
  for (const server of servers) if (isHttp1(server) || isHttp2(server)) new Ecv(config, server, tell, makeNative);
}

module.exports = { guard, placeOf };
