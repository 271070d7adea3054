'use strict';

// Sets of objects that come and go by the thousands a second. A `Set` grows old itself and then
// makes the collector visit all that passes through it: with one request a connection it doubled
// the time of the collection. Here the objects are linked to each other only, by a link that each
// one has. What always holds: of the sets that share a key, an object is in one at most; and an
// object in none is held by none.

class Link {
  before = this;
  after = this;
  set;
  item;
  /** Kept for the object by the owner of the set. */
  state;
}

class LinkedSet {
  size = 0;
  #key;
  #end = new Link();

  /** @param {symbol} key where an object keeps its link */
  constructor(key) {
    this.#key = key;
  }

  /** Adds an object that is in no set of this key, with a state to keep for it. */
  add(item, state) {
    const link = new Link();
    const end = this.#end;
    link.set = this;
    link.item = item;
    link.state = state;
    link.before = end.before;
    link.after = end;
    end.before.after = link;
    end.before = link;
    item[this.#key] = link;
    this.size += 1;
  }

  /** Removes an object that is in it. */
  delete(item) {
    const link = item[this.#key];
    item[this.#key] = undefined;
    link.before.after = link.after;
    link.after.before = link.before;
    // A link that is dead but old would keep its neighbours alive.
    link.before = link.after = undefined;
    this.size -= 1;
  }

  has(item) {
    return item[this.#key]?.set === this;
  }

  /** All of them as they are now, the oldest first; they may come and go meanwhile. */
  [Symbol.iterator]() {
    const items = [];
    for (let link = this.#end.after; link !== this.#end; link = link.after) items.push(link.item);
    return items[Symbol.iterator]();
  }
}

module.exports = { LinkedSet };
