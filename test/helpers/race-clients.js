'use strict';

// What clients of `race.js` do on a connection, and how often.

const { createHash } = require('node:crypto');
const net = require('node:net');
const { elapse } = require('./wait');

const FILL = Buffer.alloc(1 << 20, 'abcdefghijklmnopqrstuvwxyz0123456789').toString('latin1');
/**
 * How long a request may wait for its answer, in milliseconds; then it counts as lost. On a busy
 * machine a conversation over an upgraded connection takes more than 15 s.
 */
const LATE = 60_000;
/** The share of requests that block their worker, and the longest block in milliseconds. */
const [BLOCKS, BLOCKED] = [0.02, 60];

const any = (from, to) => from + Math.floor(Math.random() * (to - from + 1));
const pause = (most) => elapse(any(0, most), 'as a client may');
const get = (target, headers = '') => `GET ${target} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`;
const post = (target, headers) => `POST ${target} HTTP/1.1\r\nHost: a\r\n${headers}\r\n\r\n`;

/** A request that waits for its answer. */
class Asked {
  constructor(id, isRight) {
    this.id = id;
    this.isRight = isRight;
    this.answered = new Promise((resolve) => (this.end = resolve));
  }
}

/** A connection; answers come in the order of the requests. */
class Client {
  isClosed = false;
  #race;
  #open = [];
  #received = '';

  constructor(race) {
    this.#race = race;
    this.socket = net.connect(race.to).setEncoding('latin1');
    this.socket.on('data', (text) => this.onData(text));
    for (const event of ['end', 'error', 'close']) this.socket.on(event, () => this.#lose(event));
  }

  /** `isRight(body, id)`: whether an answer is that to this request. */
  ask(isRight) {
    const asked = new Asked(this.#race.next(), isRight);
    this.#open.push(asked);
    const late = setTimeout(() => this.#lose('no answer'), LATE);
    asked.answered.then(() => clearTimeout(late));
    return asked;
  }

  /** Asks for `length` bytes. */
  askFor(length) {
    return this.ask((body, id) => body === `id=${id};${FILL.slice(0, length)}`);
  }

  askWith(body) {
    const md5 = createHash('md5').update(body, 'latin1').digest('hex');
    return this.ask((text, id) => text === `id=${id};length=${body.length};md5=${md5}`);
  }

  say(text) {
    if (!this.isClosed) this.socket.write(text, 'latin1');
  }

  /** Sends a text in that many pieces. */
  async sayIn(pieces, text) {
    for (let at = 0, left = pieces; left > 0 && !this.isClosed; left -= 1) {
      const to = left === 1 ? text.length : at + any(1, Math.ceil((text.length - at) / left));
      this.say(text.slice(at, to));
      at = to;
      if (left > 1) await pause(30);
    }
  }

  /** Gives up. Requests without an answer may have been served or not. */
  leave(how = 'destroy') {
    this.isClosed = true;
    this.socket[how]();
    for (const asked of this.#open.splice(0)) asked.end();
  }

  #lose(why) {
    if (this.isClosed) return;
    if (this.#open.length > 0) this.#race.fail(`${why} before an answer`);
    this.leave();
  }

  onData(text) {
    this.#received += text;
    for (;;) {
      const head = this.#received.indexOf('\r\n\r\n') + 4;
      // Node's own answers to requests that it cannot parse have no length.
      const length = /content-length: (\d+)/i.exec(this.#received.slice(0, head))?.[1] ?? 0;
      const end = head + Number(length);
      if (head < 4 || this.#received.length < end) return;
      const [status, body] = [this.#received.slice(9, 12), this.#received.slice(head, end)];
      this.#received = this.#received.slice(end);
      this.#take(status, body);
    }
  }

  #take(status, body) {
    const asked = this.#open.shift();
    if (asked === undefined) return this.#race.fail('an answer without a request');
    if (status !== '200') this.#race.fail(`status ${status}`);
    else if (!asked.isRight(body, asked.id)) this.#race.fail('the answer to another request');
    else this.#race.answered.add(asked.id);
    asked.end();
  }
}

/** Each does one thing on a connection, and resolves when that is over. */
const KINDS = {
  async single(client) {
    const length = any(0, 3000);
    const asked = client.askFor(length);
    client.say(get(`/?id=${asked.id}&length=${length}`));
    await asked.answered;
  },
  async inPieces(client) {
    const asked = client.askFor(9);
    const padding = `X-Padding: ${'p'.repeat(any(0, 300))}\r\n`;
    await client.sayIn(any(2, 4), get(`/?id=${asked.id}&length=9`, padding));
    await asked.answered;
  },
  async upload(client) {
    const body = FILL.slice(0, any(0, 60_000));
    const asked = client.askWith(body);
    const head = post(`/?id=${asked.id}`, `Content-Length: ${body.length}`);
    await client.sayIn(any(1, 4), head + body);
    await asked.answered;
  },
  // If the connection were taken at the wrong moment, the body would be served as a request.
  async bodyLikeARequest(client) {
    const body = get(`/?id=${UNASKED}&length=1`);
    const asked = client.askWith(body);
    client.say(post(`/?id=${asked.id}`, `Content-Length: ${body.length}`));
    await pause(80);
    client.say(body);
    await asked.answered;
  },
  async chunks(client) {
    const chunks = Array.from({ length: any(1, 4) }, () => FILL.slice(0, any(1, 5000)));
    const asked = client.askWith(chunks.join(''));
    const head = post(`/?id=${asked.id}`, 'Transfer-Encoding: chunked');
    const coded = [...chunks, ''].map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    await client.sayIn(any(1, 4), head + coded.join(''));
    await asked.answered;
  },
  async ahead(client) {
    const all = Array.from({ length: any(2, 4) }, () => client.askFor(5));
    const wait = () => (any(0, 2) > 0 ? '' : `&wait=${any(1, 20)}`);
    client.say(all.map(({ id }) => get(`/?id=${id}&length=5${wait()}`)).join(''));
    await Promise.all(all.map(({ answered }) => answered));
  },
  // A request and a part of the next one; the first is answered before the rest comes.
  async aheadInPart(client) {
    const [body, first] = [get(`/?id=${UNASKED}&length=1`), client.askFor(5)];
    const second = client.askWith(body);
    const head = post(`/?id=${second.id}`, `Content-Length: ${body.length}`);
    const at = any(1, head.length);
    client.say(get(`/?id=${first.id}&length=5`) + head.slice(0, at));
    await first.answered;
    await pause(80);
    client.say(head.slice(at));
    if (any(0, 2) > 0) await pause(60);
    client.say(body);
    await second.answered;
  },
  async slow(client) {
    const asked = client.askFor(9);
    client.say(get(`/?id=${asked.id}&length=9&wait=${any(1, 60)}`));
    await asked.answered;
  },
  // Answered before the body has come.
  async early(client) {
    const [body, asked] = [FILL.slice(0, any(1, 30_000)), client.askFor(3)];
    client.say(post(`/early?id=${asked.id}&length=3`, `Content-Length: ${body.length}`));
    await pause(40);
    await client.sayIn(any(1, 3), body);
    await asked.answered;
  },
  async close(client) {
    const asked = client.askFor(3);
    client.say(get(`/?id=${asked.id}&length=3`));
    await asked.answered;
    client.leave(any(0, 1) ? 'destroy' : 'end');
  },
  async giveUp(client) {
    const asked = client.askFor(3);
    client.say(get(`/?id=${asked.id}&length=3`));
    await pause(40);
    client.leave();
  },
  async halfClose(client) {
    const asked = client.askFor(3);
    client.socket.end(get(`/?id=${asked.id}&length=3`));
    await asked.answered;
    client.leave();
  },
  async large(client) {
    const asked = client.askFor(FILL.length);
    client.say(get(`/?id=${asked.id}&length=${FILL.length}`));
    if (any(0, 1)) {
      client.socket.pause();
      await pause(60);
      client.socket.resume();
    }
    await asked.answered;
  },
  async upgrade(client) {
    const asked = client.ask();
    let received = '';
    client.onData = (text) => (received += text);
    client.say(get(`/?id=${asked.id}`, 'Connection: Upgrade\r\nUpgrade: echo\r\n'));
    const until = async (end) => {
      while (!received.endsWith(end) && !client.isClosed) await elapse(2, 'the rest');
    };
    await until('\r\n\r\n');
    for (let i = 0; i < 5; i += 1) {
      // If the connection were taken at the wrong moment, this would be served too.
      const text = get(`/?id=${UNASKED}&length=${i}`);
      client.say(text);
      await until(text);
      await pause(60);
    }
    client.leave();
  },
  async block(client) {
    const asked = client.askFor(3);
    const target = any(0, 2) > 0 ? '/before' : '/after';
    client.say(get(`${target}?id=${asked.id}&length=3&block=${any(1, BLOCKED)}`));
    await asked.answered;
  },
};
/** The number in requests that are only bodies of others. */
const UNASKED = 0;
const OFTEN = { single: 30, inPieces: 8, upload: 6, bodyLikeARequest: 6, chunks: 4, ahead: 5 };
const SELDOM = { aheadInPart: 8, slow: 6, early: 3, close: 2, giveUp: 2, halfClose: 2, large: 1 };
const WEIGHTS = Object.entries({ ...OFTEN, ...SELDOM, upgrade: 1 });
const BAG = WEIGHTS.flatMap(([kind, weight]) => Array(weight).fill(kind));

/** Returns what a client does next. */
function anyKind() {
  return KINDS[Math.random() < BLOCKS ? 'block' : BAG[any(0, BAG.length - 1)]];
}

module.exports = { Client, anyKind, pause };
