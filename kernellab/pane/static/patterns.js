// Regular expressions that the user types, searched for beside the page: one that takes for ever must
// not stop it. Where a page allows no worker they run in the page, a few lines at a time.
const WATCH = 250; // milliseconds
const MOST_TICKS = 8; // without a word of the worker
const AHEAD = 16; // blocks asked for at a time
const LOCAL_ROWS = 256; // in the page, at a time
const LOCAL_MOST = 500; // milliseconds for them
const MOST_KEPT = 2_000; // texts whose matches are kept

// What works off messages, in a worker or in the page. It is brought there as text, and so uses
// nothing from around it. Says that a search is too slow where it takes more than `most` milliseconds.
function patternWork(post, most) {
  const WORD = 200; // milliseconds between two signs of life
  const OFTEN = 63; // lines between two looks at the clock, less one
  const MOST_MARKS = 200;
  // What looks or runs past a line's end is not asked of many lines at once.
  const LOOKS_AROUND = /\(\?(?!:|<[A-Za-z_$])|\[\^|\\[WDPsn]/;
  let alone;
  let all;
  let spoken = 0;
  let begun = 0;
  const clock = () => {
    const now = performance.now();
    if (now - begun > most) throw new RangeError("slow");
    if (now - spoken < WORD) return;
    spoken = now;
    post({ type: "alive" });
  };
  const each = (lines, flags) => {
    lines.split("\n").forEach((line, at) => {
      if (!(at & OFTEN)) clock();
      if (alone.test(line)) flags[at] = 1;
    });
  };
  // From match to match; one that reaches into the next line says nothing of its own.
  const together = (text, flags) => {
    let at = 0;
    let begin = 0;
    let end = text.indexOf("\n");
    all.lastIndex = 0;
    for (let match, count = 0; (match = all.exec(text)); count++) {
      if (!(count & OFTEN)) clock();
      while (end >= 0 && end < match.index) {
        at++;
        begin = end + 1;
        end = text.indexOf("\n", begin);
      }
      const stop = end < 0 ? text.length : end;
      if (match.index + match[0].length <= stop || alone.test(text.slice(begin, stop))) flags[at] = 1;
      if (end < 0) return;
      all.lastIndex = end + 1;
    }
  };
  const places = (text) => {
    const found = [];
    clock();
    for (const match of text.matchAll(all)) {
      if (!match[0]) continue;
      if (found.push([match.index, match.index + match[0].length]) >= MOST_MARKS) break;
    }
    return [text, found];
  };
  const acts = {
    pattern({ source, flags }) {
      alone = new RegExp(source, flags.replace(/[gm]/g, ""));
      all = new RegExp(source, flags);
    },
    block({ id, from, count, lines, version }) {
      const flags = new Uint8Array(count);
      (LOOKS_AROUND.test(all.source) ? each : together)(lines, flags);
      post({ type: "block", id, from, flags, version });
    },
    marks({ texts }) {
      all.lastIndex = 0;
      post({ type: "marks", marks: texts.map(places) });
    },
  };
  return (message) => {
    begun = performance.now();
    try {
      acts[message.type](message);
    } catch (error) {
      if (error.message !== "slow") throw error;
      post({ type: "slow" });
    }
  };
}

export class Patterns {
  // `arrived` is called with new answers, `marked` when matches within rows have become known, `slow` with
  // seconds when a search was given up after them.
  constructor({ arrived, marked, slow }) {
    this.on = { arrived, marked, slow };
    this.marks = new Map(); // text -> [[from, to], …]
    this.texts = new Set();
    this.version = 0;
    this.set(null);
  }

  // Search for a pattern from now on; null ends that, with `ready` only for now. Returns this where there
  // is something to ask.
  set(pattern, ready = false) {
    const key = pattern && String(pattern);
    if (key !== this.key) {
      this.key = key;
      this.pattern = pattern;
      this.marks.clear();
      this.texts.clear();
      this.forget();
      // What is under way may take for ever.
      if (this.pending) this.stop();
      else if (pattern) this.tell();
    }
    // A worker takes a moment to begin, and is no thread to keep for nothing.
    if (ready && !this.say) this.start();
    else if (!pattern && !ready) this.stop();
    return pattern ? this : null;
  }

  // The rows are other ones.
  forget() {
    this.version++;
    this.answers = new Map();
    this.asked = new Set();
  }

  dispose() {
    this.set(null);
  }

  // -- the worker -------------------------------------------------------------------------------

  start() {
    this.spoken = false;
    try {
      if (this.local) throw new Error("no worker here");
      const code = `const work = (${patternWork})(postMessage, Infinity);\nonmessage = (event) => work(event.data);`;
      const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
      const worker = new Worker(url);
      URL.revokeObjectURL(url);
      this.worker = worker;
      worker.onmessage = (event) => this.worker === worker && this.take(event.data);
      worker.onerror = (event) => {
        event.preventDefault();
        if (this.worker === worker && !this.spoken) this.stay();
      };
      this.say = (message) => worker.postMessage(message);
    } catch {
      this.local = true;
      const say = (message) => setTimeout(() => this.say === say && work(message), 0);
      const work = patternWork((answer) => this.say === say && this.take(answer), LOCAL_MOST);
      this.say = say;
    }
    this.tell();
  }

  tell() {
    if (this.pattern) this.say?.({ type: "pattern", source: this.pattern.source, flags: this.pattern.flags });
  }

  // The page does not let a worker run: what was asked for is asked for again, here.
  stay() {
    this.local = true;
    const texts = [...this.texts];
    this.stop();
    this.forget();
    if (texts.length) this.ask({ type: "marks", texts });
    this.on.arrived();
  }

  stop() {
    this.worker?.terminate();
    this.worker = this.say = null;
    this.pending = 0;
    this.watch();
  }

  ask(message) {
    if (!this.say) this.start();
    this.pending++;
    this.say(message);
    this.watch();
  }

  // While something is asked for, look whether the worker is still there. Time in which the page
  // itself stood still does not count.
  watch() {
    if (!this.pending || this.local) {
      clearInterval(this.ticks);
      this.ticks = 0;
    } else if (!this.ticks) {
      this.silent = 0;
      this.ticks = setInterval(() => {
        if (++this.silent < MOST_TICKS) return;
        this.slow((MOST_TICKS * WATCH) / 1e3);
      }, WATCH);
    }
  }

  slow(seconds) {
    this.stop();
    this.on.slow(seconds);
  }

  take(answer) {
    this.spoken = true;
    this.silent = 0;
    if (answer.type === "alive") return;
    if (answer.type === "slow") {
      this.slow(LOCAL_MOST / 1e3);
      return;
    }
    this.pending--;
    this.watch();
    if (answer.type === "marks") {
      if (this.marks.size > MOST_KEPT) this.marks.clear();
      for (const [text, found] of answer.marks) {
        this.marks.set(text, found);
        this.texts.delete(text);
      }
      this.on.marked();
    } else if (answer.version === this.version) {
      this.asked.delete(answer.id);
      this.answers.set(answer.id, answer);
      this.on.arrived();
    }
  }

  // -- questions --------------------------------------------------------------------------------

  // {from, flags} of rows of a block from one on, 1 where a row matches; null while that is not known.
  flags(id, block, from, end) {
    const answer = this.answers.get(id);
    this.answers.delete(id);
    if (answer?.from === from) return answer;
    if (!this.asked.has(id) && this.asked.size < AHEAD) {
      this.asked.add(id);
      const to = this.local ? Math.min(end, from + LOCAL_ROWS) : end;
      this.ask({ type: "block", id, from, count: to - from, lines: block.part(from, to), version: this.version });
    }
    return null;
  }

  // Where a row's text matches; nothing while that is not known.
  places(text) {
    const found = this.marks.get(text);
    if (found || !text || this.texts.has(text)) return found ?? [];
    this.texts.add(text);
    this.wanted ??= [];
    if (this.wanted.push(text) > 1) return [];
    queueMicrotask(() => {
      const texts = this.wanted.filter((each) => this.texts.has(each));
      this.wanted = null;
      if (this.pattern && texts.length) this.ask({ type: "marks", texts });
    });
    return [];
  }
}
