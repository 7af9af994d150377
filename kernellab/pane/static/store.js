// The rows that this view has, in blocks of columns.
import { CONTINUED } from "./text.js";

// Rows of a block. A full one keeps its lines as one text: that is small, and quick to search.
const SHIFT = 12;
export const BLOCK = 1 << SHIFT;

class Block {
  constructor() {
    this.times = new Float64Array(BLOCK);
    this.metas = new Uint32Array(BLOCK);
    this.origins = new Uint32Array(BLOCK);
    this.lines = [];
    this.whole = null; // the lines as one text, each with its newline, once there are all
    this.starts = null; // where each begins in it
  }

  line(at) {
    return this.whole === null ? this.lines[at] : this.whole.slice(this.starts[at], this.starts[at + 1] - 1);
  }

  // Lines from..to as one text, without a newline at its end.
  part(from, to) {
    if (this.whole !== null) return this.whole.slice(this.starts[from], this.starts[to] - 1);
    return this.lines.slice(from, to).join("\n");
  }

  set(at, text, time, meta, origin) {
    if (this.whole !== null) {
      this.lines = this.whole.split("\n");
      this.lines.pop();
      this.whole = null;
    }
    this.lines[at] = text;
    this.times[at] = time;
    this.metas[at] = meta;
    this.origins[at] = origin;
    if (this.lines.length === BLOCK) this.seal();
  }

  // Take `count` rows at once, from place `from` of the columns.
  append(at, from, count, texts, times, metas, origins) {
    while (this.lines.length < at) this.lines.push(""); // rows let go before this view had them
    for (let i = from; i < from + count; i++) this.lines.push(texts[i]);
    this.times.set(times.slice(from, from + count), at);
    this.metas.set(metas.slice(from, from + count), at);
    this.origins.set(origins.slice(from, from + count), at);
    if (this.lines.length === BLOCK) this.seal();
  }

  seal() {
    this.starts = new Uint32Array(BLOCK + 1);
    let end = 0;
    for (let at = 0; at < BLOCK; at++) {
      this.starts[at] = end;
      end += this.lines[at].length + 1;
    }
    this.starts[BLOCK] = end;
    this.lines.push("");
    this.whole = this.lines.join("\n");
    this.lines = null;
  }
}

// Rows are numbered as the kernel numbers them; `base` is the first one kept, `end` the next to come.
export class Store {
  constructor() {
    this.drivers = [];
    this.components = {};
    this.reset(0);
  }

  reset(base) {
    this.base = this.end = base;
    this.blocks = new Map();
  }

  get size() {
    return this.end - this.base;
  }

  // Take a batch. "gap": rows before it are missing; else whether earlier rows have changed.
  apply(first, base, times, metas, texts, origins = []) {
    if (this.end < base) this.reset(base);
    if (first > this.end) return "gap";
    let changed = false;
    let i = Math.max(0, this.base - first);
    for (; i < texts.length && first + i < this.end; i++) {
      const number = first + i;
      if (this.text(number) === texts[i] && this.meta(number) === metas[i]) continue;
      changed = true;
      this.block(number).set(number & (BLOCK - 1), texts[i], times[i], metas[i], origins[i] ?? 0);
    }
    while (i < texts.length) {
      const at = this.end & (BLOCK - 1);
      const count = Math.min(texts.length - i, BLOCK - at);
      this.block(this.end).append(at, i, count, texts, times, metas, origins);
      this.end += count;
      i += count;
    }
    if (base > this.base) {
      for (let id = this.base >>> SHIFT; id < base >>> SHIFT; id++) this.blocks.delete(id);
      this.base = base;
      changed = true;
    }
    return changed;
  }

  block(number) {
    const id = number >>> SHIFT;
    let block = this.blocks.get(id);
    if (!block) this.blocks.set(id, (block = new Block()));
    return block;
  }

  has(number) {
    return number >= this.base && number < this.end;
  }

  text(number) {
    return this.blocks.get(number >>> SHIFT).line(number & (BLOCK - 1));
  }

  time(number) {
    return this.blocks.get(number >>> SHIFT).times[number & (BLOCK - 1)];
  }

  meta(number) {
    return this.blocks.get(number >>> SHIFT).metas[number & (BLOCK - 1)];
  }

  driver(number) {
    const origin = this.blocks.get(number >>> SHIFT).origins[number & (BLOCK - 1)];
    return this.drivers[origin & 4095] ?? "";
  }

  thread(number) {
    return this.blocks.get(number >>> SHIFT).origins[number & (BLOCK - 1)] >>> 12;
  }

  // Whether a row goes on with what the one above began (a very long line).
  continued(number) {
    return Boolean(this.meta(number) & CONTINUED);
  }
}
