// A trace in the page: its columns, sorted into lanes; time with idle gaps squeezed; searching.
// Times are units of 100 ns since the machine's boot.

export const TRACE = {
  CALL: 1, ROUTINE: 2, SERVICE: 3, RUN: 4,
  IRQL: 16, PRINT: 17, IRP: 18, POOL: 19, BUGCHECK: 20, VIOLATION: 21, QUEUED: 22, MARK: 23,
};
export const TRACE_KINDS = {
  1: "call", 2: "routine", 3: "service", 4: "ran", 16: "IRQL", 17: "print", 18: "request",
  19: "pool", 20: "bug check", 21: "verifier", 22: "DPC queued", 23: "",
};
const IRP_SENT = 2;
const IRP_COMPLETED = 4;
const ARRAYS = { d: Float64Array, I: Uint32Array, H: Uint16Array, B: Uint8Array };
const IRP_ROWS = 6;
// An idle gap longer than this part of all busy time is drawn this long.
const GAP = 0.04;

export function irqlName(level) {
  return ["PASSIVE", "APC", "DISPATCH"][level] ?? `DIRQL ${level}`;
}

export function traceTime(units, precise = false) {
  const us = units / 10;
  const digits = (value) => value.toLocaleString("en-US", { maximumFractionDigits: precise ? 7 : 3 });
  if (Math.abs(us) < 1000) return `${digits(us)} µs`;
  if (Math.abs(us) < 1e6) return `${digits(us / 1e3)} ms`;
  return `${digits(us / 1e6)} s`;
}

export class TraceData {
  constructor(head, buffers) {
    this.head = head;
    this.count = head.count;
    head.columns.forEach(([name, code], index) => {
      this[name] = new ARRAYS[code](alignedBuffer(buffers[index]));
    });
    this.start = this.count ? this.begin[0] : 0;
    this.end = head.end;
    for (let i = 0; i < this.count; i++) this.end = Math.max(this.end, this.begin[i] + this.length[i]);
    if (this.end <= this.start) this.end = this.start + 10;
    this.lanes = this.makeLanes();
    this.findGaps();
    this.warp(this.idleShare > 0.5);
  }

  // -- lanes ------------------------------------------------------------------------------------

  // A lane has a label, what it draws ("steps", "spans", "ticks"), and rows of event numbers by time.
  makeLanes() {
    const { head, kind, processor, track, depth } = this;
    const levels = Array.from({ length: head.processors }, () => []);
    const runs = Array.from({ length: head.processors }, () => []);
    const tracks = head.tracks.map(() => []);
    const ticks = [];
    const irps = [];
    for (let i = 0; i < this.count; i++) {
      const what = kind[i];
      if (what === TRACE.IRQL) levels[processor[i]].push(i);
      else if (what === TRACE.RUN) runs[processor[i]].push(i);
      else if (what <= TRACE.SERVICE) (tracks[track[i]][depth[i]] ??= []).push(i);
      else if (what === TRACE.IRP) irps.push(i);
      else if (what !== TRACE.POOL && what !== TRACE.QUEUED) ticks.push(i);
    }
    const lanes = [];
    if (ticks.length) lanes.push({ label: "prints, reports", draws: "ticks", rows: [Uint32Array.from(ticks)] });
    for (let n = 0; n < head.processors; n++) {
      if (levels[n].some((i) => this.value[i] > 0)) {
        lanes.push({ label: `IRQL CPU ${n}`, draws: "steps", rows: [Uint32Array.from(levels[n])] });
      }
      if (runs[n].length) {
        lanes.push({ label: `CPU ${n}`, draws: "spans", rows: [Uint32Array.from(runs[n])] });
      }
    }
    const order = head.tracks.map((_, number) => number).filter((number) => tracks[number].length);
    order.sort((a, b) => head.tracks[a][2] - head.tracks[b][2] || a - b);
    for (const number of order) {
      const [name, process] = head.tracks[number];
      const rows = Array.from(tracks[number], (row) => Uint32Array.from(row ?? []));
      lanes.push({ label: name, process, draws: "spans", rows });
    }
    const bars = this.irpBars(irps);
    if (bars.length) lanes.push({ label: "requests (IRPs)", draws: "bars", rows: bars });
    return lanes;
  }

  // Each IRP from where it was sent to its completion; those at one time below each other.
  irpBars(moments) {
    const open = new Map();
    const bars = [];
    for (const i of moments) {
      const step = this.value[i];
      const irp = this.object[i];
      if (step === IRP_SENT && !open.has(irp)) {
        const bar = { first: i, begin: this.begin[i], end: this.end, last: -1 };
        open.set(irp, bar);
        bars.push(bar);
      } else if (step === IRP_COMPLETED && open.has(irp)) {
        const bar = open.get(irp);
        bar.end = this.begin[i];
        bar.last = i;
        open.delete(irp);
      }
    }
    const rows = [];
    for (const bar of bars) {
      let row = rows.find((each) => each.at(-1).end <= bar.begin);
      if (!row && rows.length < IRP_ROWS) rows.push((row = []));
      (row ?? rows.at(-1)).push(bar);
    }
    return rows;
  }

  // -- time -------------------------------------------------------------------------------------

  // Where nothing runs: between the spans that the processors have, and moments.
  findGaps() {
    const gaps = [];
    let reached = this.start;
    let idle = 0;
    const wide = (this.end - this.start) / 1e4;
    const note = (begin, end) => {
      if (begin - reached > wide) {
        gaps.push([reached, begin]);
        idle += begin - reached;
      }
      reached = Math.max(reached, end);
    };
    for (let i = 0; i < this.count; i++) {
      const what = this.kind[i];
      const busy = what === TRACE.RUN || (what <= TRACE.SERVICE && !this.head.tracks[this.track[i]][2]);
      note(this.begin[i], busy ? this.begin[i] + this.length[i] : this.begin[i]);
    }
    note(this.end, this.end);
    this.gaps = gaps;
    this.idleShare = idle / (this.end - this.start);
    this.busyTime = this.end - this.start - idle;
  }

  // From now on, places are with idle gaps squeezed, or as time is.
  warp(squeezed) {
    this.squeezed = squeezed && this.gaps.length > 0;
    this.times = [this.start];
    this.places = [this.start];
    this.shownGaps = [];
    if (this.squeezed) {
      const short = Math.max(this.busyTime, 10) * GAP;
      let cut = 0;
      for (const [begin, end] of this.gaps) {
        const length = end - begin;
        if (length <= short) continue;
        this.times.push(begin, end);
        this.places.push(begin - cut, begin - cut + short);
        this.shownGaps.push([begin, end]);
        cut += length - short;
      }
    }
    this.from = new Float64Array(this.count);
    this.to = new Float64Array(this.count);
    for (let i = 0; i < this.count; i++) {
      this.from[i] = this.place(this.begin[i]);
      this.to[i] = this.length[i] ? this.place(this.begin[i] + this.length[i]) : this.from[i];
    }
    this.first = this.place(this.start);
    this.last = this.place(this.end);
  }

  place(time) {
    return between(this.times, this.places, time);
  }

  time(place) {
    return between(this.places, this.times, place);
  }

  // -- searching --------------------------------------------------------------------------------

  // Which names contain the text: a mark for each name, or null for no search; the events.
  search(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return { marks: null, found: [] };
    const marks = this.head.names.map((name) => name.toLowerCase().includes(wanted));
    const found = [];
    for (let i = 0; i < this.count; i++) if (marks[this.name[i]] && this.kind[i] !== TRACE.RUN) found.push(i);
    return { marks, found };
  }

  // The longest spans of drivers and their calls, for the table.
  longest(most) {
    const spans = [];
    for (let i = 0; i < this.count; i++) if (this.kind[i] <= TRACE.SERVICE) spans.push(i);
    return spans.sort((a, b) => this.length[b] - this.length[a] || a - b).slice(0, most);
  }

  nameOf(i) {
    const { kind, head } = this;
    if (kind[i] === TRACE.RUN) return head.tracks[this.track[i]][0];
    if (kind[i] === TRACE.IRQL) return irqlName(this.value[i]);
    return head.names[this.name[i]];
  }

  placeOf(i) {
    const [file, line] = this.head.places[this.where[i]] ?? ["", 0];
    return line ? { file, line } : null;
  }

  // What the tooltip says, line by line; the first is the name.
  about(i) {
    const { head } = this;
    const lines = [this.nameOf(i)];
    const at = `at ${traceTime(this.begin[i], true)}`;
    lines.push(this.kind[i] <= TRACE.RUN ? `${at}, for ${traceTime(this.length[i], true)}` : at);
    if (this.open[i]) lines.push("not ended when the trace was read");
    const result = head.details[this.detail[i]];
    if (result) lines.push(this.kind[i] <= TRACE.ROUTINE ? `returned ${result}` : result);
    const [name, process] = head.tracks[this.track[i]];
    const where = [TRACE_KINDS[this.kind[i]], name, process, `CPU ${this.processor[i]}`];
    lines.push(where.filter(Boolean).join(", "));
    const place = this.placeOf(i);
    if (place) lines.push(`${place.file}, line ${place.line}`);
    return lines;
  }
}

// The value between two known ones; beyond the last, as far away.
function between(from, to, value) {
  let low = 0;
  let high = from.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (from[middle] <= value) low = middle;
    else high = middle - 1;
  }
  const rest = value - from[low];
  if (low + 1 === from.length) return to[low] + rest;
  const span = from[low + 1] - from[low];
  return span ? to[low] + (rest / span) * (to[low + 1] - to[low]) : to[low];
}

// A buffer of the comm can begin anywhere: a copy of its own can be read as numbers.
function alignedBuffer(view) {
  const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
  return bytes.slice().buffer;
}
