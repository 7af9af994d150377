// One row as an element: its columns, what was searched for, and ways to the cell.
import {
  CLASSES, CONTINUED, KIND, element, formatDistance, formatTime, levelName,
} from "./text.js";

const KIND_CLASS = ["", "state", "warning", "error", "warning", "error"];
const MOST_MARKS = 200; // in one text
export const COLUMNS = new Map([
  ["driver", "Driver"], ["component", "Component"], ["irql", "IRQL"], ["thread", "Thread"],
]);

let rowNumber = 0;

export class RowMaker {
  constructor(store, filter) {
    this.store = store;
    this.filter = filter;
    this.options = { times: "virtual", wrap: false, columns: new Set() };
    this.zero = null; // number of the row that relative times count from
    this.pattern = null; // what is marked
    this.remote = null; // who is asked where it matches, where that is not done here
    this.files = []; // the user's own files, as reports name them
    this.go = () => {}; // called with (driver, file, line)
    this.levels = false; // whether a row with a level was made
    this.look = 0; // changes when all rows look different
  }

  // Whether an element still shows what its row is.
  fresh(row, number, place) {
    return row.made === this.look && row.words === this.store.text(number)
      && (this.options.times !== "delta" || row.before === this.before(place));
  }

  before(place) {
    return place > 0 ? this.filter.at(place - 1) : null;
  }

  time(number, place) {
    const { store } = this;
    const time = store.time(number);
    if (this.options.times === "none" || store.continued(number)) return "";
    if (this.options.times === "virtual") return formatTime(time);
    if (this.options.times === "zero") return formatDistance(time - store.time(this.start));
    const before = this.before(place);
    return before === null ? "" : formatDistance(time - store.time(before));
  }

  // The row that relative times count from.
  get start() {
    const { base, end } = this.store;
    return this.zero !== null && this.zero >= base && this.zero < end ? this.zero : base;
  }

  row(number, place) {
    const { store, options } = this;
    const meta = store.meta(number);
    const kind = meta & 7;
    const more = meta & CONTINUED;
    const text = store.text(number);
    const row = element("div", {
      class: `kernellab-row ${KIND_CLASS[kind] ?? ""}`, role: "option",
      id: `kernellab-row-${++rowNumber}`,
    });
    row.number = number;
    row.made = this.look;
    row.words = text;
    row.before = this.before(place);
    const named = kind === KIND.PRINT && levelName(meta);
    if (named) {
      row.classList.add(["error", "warning"][(meta >>> 8) & 255] ?? "plain");
      this.levels = true;
    }
    if (options.times !== "none") {
      const zero = options.times === "zero" && number === this.start ? " zero" : "";
      row.append(element("span", { class: `time${zero}`, text: this.time(number, place) }));
    }
    const print = kind === KIND.PRINT && !more;
    const cells = {
      driver: more ? "" : store.driver(number),
      component: print ? store.components[meta >>> 16] ?? String(meta >>> 16) : "",
      irql: print ? String((meta >>> 4) & 15) : "",
      thread: print ? String(store.thread(number)) : "",
    };
    for (const name of COLUMNS.keys()) {
      if (!options.columns.has(name)) continue;
      row.append(element("span", { class: `cell ${name}`, text: cells[name], title: cells[name] }));
    }
    const level = element("span", { class: "level", text: more ? "↳" : levelName(meta) });
    if (kind !== KIND.PRINT) level.title = CLASSES.get(["", "state", "verifier", "bugcheck"][kind]) ?? "Error";
    const body = element("span", { class: "text" });
    this.fill(body, text, number, kind);
    row.append(level, body);
    return row;
  }

  // The text, with places in the user's own files as buttons.
  fill(body, text, number, kind) {
    const linked = kind >= KIND.VIOLATION || text.startsWith("panicked at ");
    let at = 0;
    if (linked && this.places) {
      for (const match of text.matchAll(this.places)) {
        this.marked(body, text.slice(at, match.index));
        const file = match[1];
        const line = Number(match[2]);
        const link = element("button", {
          type: "button", class: "place", tabindex: "-1", title: `Go to line ${line} of ${file}`,
          onclick: () => this.go(this.store.driver(number), file, line),
        });
        this.marked(link, match[0]);
        body.append(link);
        at = match.index + match[0].length;
      }
    }
    this.marked(body, text.slice(at));
  }

  set own(files) {
    if (files.join("\n") === this.files.join("\n")) return;
    this.files = files;
    const names = files.map((file) => file.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    this.places = names ? new RegExp(`(?<![\\w./\\\\-])(${names}):(\\d+)(?::\\d+)?`, "g") : null;
    this.look++;
  }

  // Where what was searched for is in a text.
  matches(text) {
    if (!this.pattern) return [];
    if (this.remote) return this.remote.places(text);
    const found = [];
    for (const match of text.matchAll(this.pattern)) {
      if (found.push([match.index, match.index + match[0].length]) >= MOST_MARKS) break;
    }
    return found;
  }

  // Text with what was searched for marked.
  marked(body, text) {
    let at = 0;
    for (const [from, to] of this.matches(text)) {
      body.append(text.slice(at, from), element("mark", { text: text.slice(from, to) }));
      at = to;
    }
    if (at < text.length) body.append(text.slice(at));
  }
}
