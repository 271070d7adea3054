'use strict';

// A set of objects that come and go by the thousands a second. A `Set` grows old itself and then makes the collector look at all
// that passes through it: with one request a connection it doubled the time of the collection. Here the objects are linked to
// each other only, by a link that each has of its own. What always holds: what is not in the set is not held by it.

class Link {
  before = this;
  after = this;

  constructor(item) {
    this.item = item;
  }
}

class LinkedSet {
  size = 0;
  /** Where an object keeps its link: of each set's own. */
  #key = Symbol('cluster2-rs.link');
  #end = new Link();

  /** @returns {boolean} false if it was there before */
  add(item) {
    const key = this.#key;
    if (item[key] !== undefined) return false;
    const link = new Link(item);
    const end = this.#end;
    link.before = end.before;
    link.after = end;
    end.before.after = link;
    end.before = link;
    item[key] = link;
    this.size += 1;
    return true;
  }

  /** @returns {boolean} false if it was not there */
  delete(item) {
    const link = item[this.#key];
    if (link === undefined) return false;
    item[this.#key] = undefined;
    link.before.after = link.after;
    link.after.before = link.before;
    // A link that is dead but old would keep its neighbours alive.
    link.before = link.after = undefined;
    this.size -= 1;
    return true;
  }

  has(item) {
    return item[this.#key] !== undefined;
  }

  /** All of them as they are now, the oldest first; they may come and go meanwhile. */
  [Symbol.iterator]() {
    const items = [];
    for (let link = this.#end.after; link !== this.#end; link = link.after) items.push(link.item);
    return items[Symbol.iterator]();
  }
}

module.exports = { LinkedSet };
