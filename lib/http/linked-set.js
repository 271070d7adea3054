'use strict';

// Sets of objects that come and go by the thousands a second. A `Set` grows old itself and then
// makes the collector visit all that passes through it: with one request a connection it doubled
// the time of the collection. Here the objects are linked to each other only, by a link that each
// one has. What always holds: of the sets that share a key, an object is in one at most; and an
// object in none is held by none.

// The neighbours are private: who inspects or copies an object must not come to all others.
class Link {
  set;
  /** The object. */
  item;
  /** Kept for the object by the owner of the set. */
  state;
  #before = this;
  #after = this;

  constructor(set, item, state) {
    this.set = set;
    this.item = item;
    this.state = state;
  }

  insertBefore(end) {
    this.#before = end.#before;
    this.#after = end;
    end.#before.#after = this;
    end.#before = this;
  }

  remove() {
    this.#before.#after = this.#after;
    this.#after.#before = this.#before;
    // A link that is dead but old would keep its neighbours alive.
    this.#before = this.#after = undefined;
  }

  /** The items of the links from behind this one round to it. */
  items() {
    const items = [];
    for (let link = this.#after; link !== this; link = link.#after) items.push(link.item);
    return items;
  }
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
    const link = new Link(this, item, state);
    link.insertBefore(this.#end);
    item[this.#key] = link;
    this.size += 1;
  }

  /** Removes an object that is in it. */
  delete(item) {
    const link = item[this.#key];
    item[this.#key] = undefined;
    link.remove();
    this.size -= 1;
  }

  has(item) {
    return item[this.#key]?.set === this;
  }

  /** All of them as they are now, the oldest first; they may come and go meanwhile. */
  [Symbol.iterator]() {
    return this.#end.items()[Symbol.iterator]();
  }
}

module.exports = { LinkedSet };
