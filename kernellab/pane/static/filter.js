// Which rows pass: searched block by block, those in sight first, and in slices of time.
import { BLOCK } from "./store.js";
import { classOf } from "./text.js";

// A rule: {pattern, remote, invert, classes, components, drivers, from, to}; what is null or absent lets all
// pass. `pattern` is a RegExp (flags g and m) and `remote` is who is asked where it matches, as it is the
// user's own (patterns.js); `classes`, `components` and `drivers` are sets, `from` and `to` seconds.
function columnTest({ classes, components, drivers, from, to }, names) {
  if (!classes && !components && !drivers && from == null && to == null) return null;
  return (block, at) => {
    const meta = block.metas[at];
    if (classes && !classes.has(classOf(meta))) return false;
    if (components && ((meta & 7) !== 0 || !components.has(meta >>> 16))) return false;
    if (drivers && !drivers.has(names[block.origins[at] & 4095] ?? "")) return false;
    const time = block.times[at];
    return !(from != null && time < from) && !(to != null && time > to);
  };
}

const rowFlags = new Uint8Array(BLOCK);

// Set a flag at each row of a full block that the pattern, a plain text, is found in.
function searchBlock(block, pattern) {
  rowFlags.fill(0);
  const { whole, starts } = block;
  let at = 0;
  pattern.lastIndex = 0;
  for (let match; (match = pattern.exec(whole)); ) {
    while (starts[at + 1] <= match.index) at++;
    if (at >= BLOCK) return;
    rowFlags[at] = 1;
    pattern.lastIndex = starts[at + 1];
    if (pattern.lastIndex >= whole.length) return;
  }
}

export class Filter {
  constructor(store) {
    this.store = store;
    this.all = store; // what there is: its base and size
    this.rule = null;
    this.restart();
  }

  // null lets all rows pass.
  set(rule) {
    const before = this.rule;
    const { found } = this;
    this.rule = rule;
    if (rule?.pattern) {
      this.alone = new RegExp(rule.pattern.source, rule.pattern.flags.replace(/[gm]/g, ""));
    }
    this.columns = rule && columnTest(rule, this.store.drivers);
    this.restart();
    // Where a part of the new text was not found, the whole will not be.
    if (!rule?.narrows || rule.narrows !== before) return;
    for (const [id, result] of found) {
      if (result.count === 0 && result.seen === BLOCK) this.found.set(id, result);
    }
  }

  restart() {
    this.found = new Map(); // block id -> {list, count, seen}
    this.sums = null;
    this.rule?.remote?.forget();
  }

  // The same rows, and none that come later.
  copy() {
    const { store } = this;
    const other = new Filter(store);
    other.all = { base: store.base, size: store.size };
    other.rule = this.rule && { ...this.rule, remote: null };
    for (const [id, result] of this.found) other.found.set(id, { ...result, list: result.list.slice() });
    return other;
  }

  // Search on for at most so many milliseconds, from the row `near` outwards; whether all was seen. Where
  // not, `waiting` says that nothing is to be done before an answer arrives.
  extend(milliseconds, near) {
    this.waiting = false;
    if (!this.rule) return true;
    const { store } = this;
    if (store.size === 0) return true;
    const until = performance.now() + milliseconds;
    const first = Math.floor(store.base / BLOCK);
    const last = Math.floor((store.end - 1) / BLOCK);
    const middle = Math.min(Math.max(Math.floor(near / BLOCK), first), last);
    for (let step = 0; middle - step >= first || middle + step <= last; step++) {
      for (const id of step ? [middle - step, middle + step] : [middle]) {
        if (id < first || id > last || !this.look(id)) continue;
        if (performance.now() > until) return this.unseen() === 0;
      }
    }
    return !this.waiting;
  }

  // Search a block's rows not seen yet; whether any were.
  look(id) {
    const { store, rule } = this;
    const block = store.blocks.get(id);
    let end = Math.min(BLOCK, store.end - id * BLOCK);
    let result = this.found.get(id);
    if (result && result.seen >= end) return false;
    if (!result) {
      const seen = Math.max(0, store.base - id * BLOCK);
      this.found.set(id, (result = { list: [], count: 0, seen }));
    }
    const { pattern, remote, invert } = rule;
    let flags = null;
    let begin = 0;
    if (pattern && remote) {
      const answer = remote.flags(id, block, result.seen, end);
      if (!answer) {
        this.waiting = true;
        return false;
      }
      ({ flags, from: begin } = answer);
      end = begin + flags.length;
    } else if (pattern && block.whole !== null && result.seen < BLOCK / 2) {
      searchBlock(block, pattern);
      flags = rowFlags;
    }
    for (let at = result.seen; at < end; at++) {
      if (this.columns && !this.columns(block, at)) continue;
      if (pattern) {
        const has = flags ? flags[at - begin] === 1 : this.alone.test(block.line(at));
        if (has === Boolean(invert)) continue;
      }
      result.list.push(at);
    }
    result.seen = end;
    const most = Math.min(BLOCK, store.end - id * BLOCK);
    if (end < most && !remote.flags(id, block, end, most)) this.waiting = true; // rows that came since
    result.count = result.list.length;
    if (end === BLOCK) result.list = Uint16Array.from(result.list);
    this.sums = null;
    return true;
  }

  unseen() {
    if (!this.rule) return 0;
    let seen = 0;
    for (const [id, result] of this.found) seen += result.seen - Math.max(0, this.store.base - id * BLOCK);
    return Math.max(0, this.store.size - seen);
  }

  // Blocks in order, with how many pass before each.
  prefix() {
    if (this.sums) return this.sums;
    const first = Math.floor(this.store.base / BLOCK);
    const last = Math.floor(Math.max(this.store.end - 1, 0) / BLOCK);
    const sums = { ids: [], before: [], total: 0 };
    for (let id = first; id <= last; id++) {
      const result = this.found.get(id);
      if (!result?.count) continue;
      // Of the first block some rows may have been let go.
      const gone = id === first ? countBelow(result.list, result.count, this.store.base - id * BLOCK) : 0;
      sums.ids.push(id);
      sums.before.push(sums.total - gone);
      sums.total += result.count - gone;
    }
    return (this.sums = sums);
  }

  get count() {
    return this.rule ? this.prefix().total : this.all.size;
  }

  // The number of the row shown at a place.
  at(place) {
    if (!this.rule) return this.all.base + place;
    const { ids, before } = this.prefix();
    const index = countBelow(before, before.length, place + 1) - 1;
    return ids[index] * BLOCK + this.found.get(ids[index]).list[place - before[index]];
  }

  // The place of a row, or of the first one after it that is shown.
  placeOf(number) {
    if (!this.rule) return Math.min(Math.max(number - this.all.base, 0), this.all.size);
    const { ids, before, total } = this.prefix();
    const id = Math.floor(number / BLOCK);
    const index = countBelow(ids, ids.length, id);
    if (index === ids.length) return total;
    if (ids[index] !== id) return Math.max(before[index], 0);
    const { list, count } = this.found.get(id);
    return Math.max(0, before[index] + countBelow(list, count, number - id * BLOCK));
  }

  has(number) {
    const place = this.placeOf(number);
    return place < this.count && this.at(place) === number;
  }
}

// How many of the first `count` ascending values are less than `value`.
function countBelow(values, count, value) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
