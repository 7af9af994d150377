// The rows that this view has, and which of them pass the filter.
import { CONTINUED } from "./text.js";

// Rows are numbered as the kernel numbers them; `base` is the first one kept.
export class Store {
  constructor() {
    this.base = 0;
    this.texts = [];
    this.times = [];
    this.metas = [];
  }

  get end() {
    return this.base + this.texts.length;
  }

  // Take a batch. "gap": rows before it are missing; else whether earlier rows have changed.
  apply(first, base, times, metas, texts) {
    if (this.end < base) this.reset(base);
    if (first > this.end) return "gap";
    let changed = false;
    for (let i = 0; i < texts.length; i++) {
      const at = first + i - this.base;
      if (at < 0) continue;
      if (at === this.texts.length) {
        this.texts.push(texts[i]);
        this.times.push(times[i]);
        this.metas.push(metas[i]);
      } else if (this.texts[at] !== texts[i] || this.metas[at] !== metas[i]) {
        this.texts[at] = texts[i];
        this.times[at] = times[i];
        this.metas[at] = metas[i];
        changed = true;
      }
    }
    if (base > this.base + 100_000) {
      const cut = base - this.base;
      this.texts.splice(0, cut);
      this.times.splice(0, cut);
      this.metas.splice(0, cut);
      this.base = base;
      changed = true;
    }
    return changed;
  }

  reset(base) {
    this.base = base;
    this.texts = [];
    this.times = [];
    this.metas = [];
  }

  text(number) {
    return this.texts[number - this.base];
  }
}

// The rows' numbers that pass; all of them while there is no filter.
export class Filter {
  constructor(store) {
    this.store = store;
    this.test = null;
    this.numbers = [];
    this.seen = 0;
  }

  // Returns what is wrong with a regular expression, or "".
  set(query, regular) {
    let problem = "";
    if (!query) {
      this.test = null;
    } else if (regular) {
      try {
        const pattern = new RegExp(query, "i");
        this.test = (text) => pattern.test(text);
      } catch (error) {
        problem = error.message;
        this.test = null;
      }
    } else {
      const wanted = query.toLowerCase();
      this.test = (text) => text.toLowerCase().includes(wanted);
    }
    this.restart();
    return problem;
  }

  restart() {
    this.numbers = [];
    this.seen = this.store.base;
  }

  // Look at rows not seen yet, for at most so many milliseconds; whether all were seen.
  extend(milliseconds) {
    const { store } = this;
    this.seen = Math.max(this.seen, store.base);
    if (!this.test) {
      this.seen = store.end;
      return true;
    }
    const until = performance.now() + milliseconds;
    while (this.seen < store.end) {
      if (this.test(store.text(this.seen))) this.numbers.push(this.seen);
      this.seen++;
      if ((this.seen & 1023) === 0 && performance.now() > until) return false;
    }
    return true;
  }

  get count() {
    return this.test ? this.numbers.length : this.store.texts.length;
  }

  // The number of the row shown at a place.
  at(place) {
    return this.test ? this.numbers[place] : this.store.base + place;
  }

  // All that pass, as text; a long line's parts are one line again.
  plain() {
    const lines = [];
    for (let place = 0; place < this.count; place++) {
      const at = this.at(place) - this.store.base;
      const text = this.store.texts[at];
      if (this.store.metas[at] & CONTINUED && lines.length) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return lines.join("\n") + "\n";
  }
}
