// The compiler's suggestions: a change each, applied to the user's cells with one click.
import { element } from "./text.js";
import { edit } from "./cells.js";
import { toClipboard } from "./export.js";

const NOBODY = "this front end cannot change a cell: copy it";

// Where an edit of the source as it was lies now, after the edits that were applied, in their order.
export function moved(position, applied) {
  let [line, column] = position;
  for (const e of applied) {
    if (line < e.end_line || (line === e.end_line && column < e.end_column)) continue;
    const lines = e.text.split("\n");
    const last = [...lines[lines.length - 1]].length;
    if (line === e.end_line) {
      column += (lines.length > 1 ? last + 1 : e.column + last) - e.end_column;
    }
    line += lines.length - 1 - (e.end_line - e.line);
  }
  return [line, column];
}

// Whether two changes of one source exclude each other.
export function overlap(a, b) {
  if (a.file !== b.file) return false;
  const before = (l1, c1, l2, c2) => l1 < l2 || (l1 === l2 && c1 <= c2);
  return a.edits.some((x) => b.edits.some((y) => {
    const same = x.line === y.line && x.column === y.column;
    return same || !(before(x.end_line, x.end_column, y.line, y.column) ||
      before(y.end_line, y.end_column, x.line, x.column));
  }));
}

// What goes in between two characters expects nothing of its own: these edits change nothing, and
// expect what stood before it. `edits` lie where they are now, `lines` has the numbers that each of
// them had; a line in `touched` was changed already, and that change has looked at it.
export function guards(edits, lines, touched) {
  const seen = new Set(touched);
  const order = edits.map((_, n) => n)
    .sort((a, b) => edits[a].line - edits[b].line || edits[a].column - edits[b].column);
  const found = [];
  for (const n of order) {
    const e = edits[n];
    if (!seen.has(lines[n][0]) && e.expected === "" && e.before) {
      const column = e.column - [...e.before].length;
      found.push({ line: e.line, column, end_line: e.line, end_column: e.column, text: e.before, expected: e.before });
    }
    for (const line of lines[n]) seen.add(line);
  }
  return found;
}

export class Fixes {
  // `fixes` as kernellab/pane/fixes.py has them; `host` has root and driver().
  constructor(fixes, host) {
    this.fixes = fixes;
    this.host = host;
    this.applied = new Map(); // file -> edits, in the order they were applied
    this.touched = new Map(); // file -> lines of the source as it was that they changed
    this.rows = new Map(); // number -> what shows it
  }

  // What is shown of change number `n`.
  row(n) {
    const fix = this.fixes[n];
    const words = `Apply: ${fix.title}${fix.doubt ? ` (${fix.doubt})` : ""}`;
    const apply = element("button", { type: "button", text: words, onclick: () => this.press(apply, [n]) });
    const copy = copier(() => added(fix));
    const note = element("span", { class: "fix-note", role: "status" });
    const diff = fix.shown ? "" : element("pre", { class: "fix-diff" }, ...fix.diff.map((line) =>
      element("div", { class: line.startsWith("+") ? "added" : "removed", text: line })));
    this.rows.set(n, { apply, note });
    return element("div", { class: "fix" }, apply, copy, note, diff);
  }

  // A button for all that the compiler vouches for, where that is more than one.
  all() {
    const chosen = [];
    this.fixes.forEach((fix, n) => {
      if (fix.certain && !chosen.some((other) => overlap(fix, this.fixes[other]))) chosen.push(n);
    });
    if (chosen.length < 2) return null;
    const words = `Apply all ${chosen.length} machine-applicable`;
    const button = element("button", {
      type: "button", text: words,
      onclick: () => this.press(button, chosen.filter((n) => !this.rows.get(n)?.done)),
    });
    return button;
  }

  press(button, numbers) {
    if (button.getAttribute("aria-disabled") === "true") return;
    const files = new Map();
    for (const n of numbers) {
      const { file } = this.fixes[n];
      files.set(file, [...(files.get(file) ?? []), n]);
    }
    for (const [file, of] of files) {
      const problem = this.apply(file, of);
      for (const n of problem ? of : []) this.say(n, problem);
      if (problem && numbers.length > 1) return;
    }
    if (numbers.length > 1) settle(button, "Applied: run the cell again");
  }

  // Change one file; what went wrong, or an empty text.
  apply(file, numbers) {
    const earlier = this.applied.get(file) ?? [];
    const source = numbers.flatMap((n) => this.fixes[n].edits);
    const lines = source.map((e) => [e.line, e.end_line]);
    const touched = this.touched.get(file) ?? [];
    const edits = source.map((e) => {
      const [line, column] = moved([e.line, e.column], earlier);
      const [end_line, end_column] = moved([e.end_line, e.end_column], earlier);
      return { ...e, line, column, end_line, end_column };
    });
    const title = numbers.length === 1 ? this.fixes[numbers[0]].title : `${numbers.length} suggestions`;
    const asked = [...guards(edits, lines, touched), ...edits];
    const result = edit(this.host.root, { driver: this.host.driver(), file, edits: asked, title });
    if (!result) return NOBODY;
    if (!result.ok) return result.message || "the cell has changed since: run it again";
    // From the end on, so that none of them moves another.
    edits.sort((a, b) => b.line - a.line || b.column - a.column);
    this.applied.set(file, [...earlier, ...edits]);
    this.touched.set(file, [...touched, ...lines.flat()]);
    for (const n of numbers) this.done(n);
    return "";
  }

  done(n) {
    this.fixes.forEach((fix, other) => {
      const row = this.rows.get(other);
      if (!row || row.done || !overlap(fix, this.fixes[n])) return;
      const same = JSON.stringify(fix.edits) === JSON.stringify(this.fixes[n].edits);
      row.done = true;
      settle(row.apply, other === n || same ? "Applied: run the cell again" : "",
        "another suggestion was applied here");
      row.note.textContent = "";
    });
  }

  say(n, words) {
    const row = this.rows.get(n);
    if (row) row.note.textContent = words;
  }
}

function settle(button, words, why = "") {
  button.setAttribute("aria-disabled", "true");
  if (words) button.textContent = words;
  else button.title = why;
}

function added(fix) {
  return fix.diff.filter((line) => line.startsWith("+")).map((line) => line.slice(2)).join("\n");
}

// A button that copies what `text()` is then.
export function copier(text, label = "Copy") {
  const button = element("button", {
    type: "button", text: label,
    onclick: async (event) => {
      event.preventDefault();
      button.textContent = (await toClipboard(text())) ? "Copied" : "Cannot copy";
      setTimeout(() => (button.textContent = label), 1200);
    },
  });
  return button;
}
