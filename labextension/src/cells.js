// The cells of a notebook: found by their magic's line, changed in one step that can be undone.

import { isCellOf, isRust, parseHead } from "./magic.js";
import { offsetOf } from "./texts.js";

export function textOf(cell) {
  return cell.model.sharedModel.getSource();
}

// The code cells of a notebook panel, with what their first lines say.
export function codeCells(panel) {
  return panel.content.widgets
    .filter((cell) => cell.model.type === "code")
    .map((cell) => ({ cell, head: parseHead(textOf(cell)) }));
}

// The cells that may be meant by a driver's name and a file of it (or null), best first. `holder`
// is the DOM element of the cell that asks.
export function cellsFor(panel, driver, file, holder) {
  const magic = file === null ? "rustdriver" : "rustfile";
  const found = [];
  for (const { cell, head } of codeCells(panel)) {
    const asks = cell.node === holder;
    if (isCellOf(head, magic, driver, file)) found.splice(asks ? 0 : found.length, 0, cell);
    else if (asks && file === null && isRust(head) && head.words.includes(driver)) found.unshift(cell);
  }
  return found;
}

// How many lines of the cell come before its magic's line, which kernellab counts as line 1.
export function linesBefore(text) {
  const head = parseHead(text);
  return head ? text.slice(0, head.from).split("\n").length - 1 : 0;
}

// Why the cell cannot be changed, or null.
export function lockOf(panel, cell) {
  if (panel.content.model?.readOnly) return "the notebook is read-only";
  if (cell.model.getMetadata("editable") === false) return "the cell is not editable";
  return null;
}

// Make `changes` ({ from, to, text } in order, apart from each other): one step for Ctrl-Z.
export function change(cell, changes) {
  const shared = cell.model.sharedModel;
  // What was typed just before, and what comes after, are steps of their own.
  shared.undoManager?.stopCapturing();
  shared.transact(() => {
    for (const { from, to, text } of [...changes].reverse()) shared.updateSource(from, to, text);
  });
  shared.undoManager?.stopCapturing();
}

// Edits by line and column, with the text that they expect, as changes of `text`, or a reason why not.
export function resolve(text, edits) {
  const before = linesBefore(text);
  const changes = [];
  for (const edit of edits) {
    const from = offsetOf(text, edit.line + before, edit.column);
    const to = offsetOf(text, edit.end_line + before, edit.end_column);
    if (from < 0 || to < from) return { reason: `the cell has no line ${edit.line}, column ${edit.column} any more` };
    if (text.slice(from, to) !== edit.expected) return { reason: `line ${edit.line} has changed since` };
    changes.push({ from, to, text: edit.text });
  }
  changes.sort((a, b) => a.from - b.from || a.to - b.to);
  if (changes.some((each, index) => index > 0 && each.from < changes[index - 1].to)) {
    return { reason: "the changes overlap" };
  }
  return { changes };
}
