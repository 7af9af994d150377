// What panes ask for by DOM events: change a cell's text, or show one of its lines. Panes are the
// JavaScript of widgets in outputs; an event that is answered has its default prevented.

import { cellsFor, change, linesBefore, lockOf, resolve, textOf } from "./cells.js";
import { flashLine } from "./editor.js";

function isText(value) {
  return typeof value === "string";
}

function isEdit(edit) {
  return (
    typeof edit === "object" && edit !== null && isText(edit.text) && isText(edit.expected) &&
    [edit.line, edit.column, edit.end_line, edit.end_column].every(Number.isInteger)
  );
}

// A driver's name and a file's path or null; undefined where the event does not say.
function subject(detail) {
  if (typeof detail !== "object" || detail === null || !isText(detail.driver)) return undefined;
  const file = detail.file ?? null;
  return file === null || isText(file) ? { driver: detail.driver, file } : undefined;
}

function what({ driver, file }) {
  return file === null ? `%%rustdriver ${driver}` : `%%rustfile ${driver} ${file}`;
}

// Apply the edits of an event to a cell of `panel`: { ok, message }.
export function applyEdits(panel, target, detail) {
  const meant = subject(detail);
  if (!meant || !Array.isArray(detail.edits) || !detail.edits.length || !detail.edits.every(isEdit)) {
    return { ok: false, message: "This is no change that can be applied." };
  }
  const cells = cellsFor(panel, meant.driver, meant.file, target.closest?.(".jp-Cell"));
  if (!cells.length) {
    return { ok: false, message: `Not applied: the notebook has no cell ${what(meant)}.` };
  }
  let refused = null;
  for (const cell of cells) {
    const { changes, reason } = resolve(textOf(cell), detail.edits);
    const locked = reason ? null : lockOf(panel, cell);
    if (reason || locked) {
      refused ??= reason ?? locked;
      continue;
    }
    change(cell, changes);
    const title = isText(detail.title) && detail.title ? detail.title : "The change";
    return { ok: true, message: `Applied: ${title}. Ctrl-Z in the cell takes it back.` };
  }
  return { ok: false, message: `Not applied: ${refused}.` };
}

async function showLine(panel, editors, cell, line) {
  const notebook = panel.content;
  notebook.activeCellIndex = notebook.widgets.indexOf(cell);
  if (cell.inputHidden) cell.inputHidden = false;
  await notebook.scrollToCell?.(cell, "smart");
  await cell.ready;
  if (cell.isDisposed || !cell.editor) return;
  notebook.mode = "edit";
  const number = Math.min(line + linesBefore(textOf(cell)), cell.editor.lineCount) - 1;
  const position = { line: Math.max(0, number), column: 0 };
  cell.editor.focus();
  cell.editor.setCursorPosition(position);
  const views = [...(editors.views.get(cell.model.id) ?? [])];
  const view = views.find((each) => panel.node.contains(each.dom));
  if (!view) return;
  const at = view.state.doc.line(position.line + 1).from;
  view.domAtPos(at).node.parentElement?.scrollIntoView({ block: "center" });
  flashLine(view, at);
}

// Listen to the panes of `panel`.
export function listenToPanes(panel, editors) {
  panel.node.addEventListener("kernellab-edit", (event) => {
    if (!(event instanceof CustomEvent) || !subject(event.detail)) return;
    event.preventDefault();
    event.detail.result = applyEdits(panel, event.target, event.detail);
  });
  panel.node.addEventListener("kernellab-reveal", (event) => {
    const meant = event instanceof CustomEvent ? subject(event.detail) : undefined;
    if (!meant || !Number.isInteger(event.detail.line)) return;
    const [cell] = cellsFor(panel, meant.driver, meant.file, event.target.closest?.(".jp-Cell"));
    if (!cell) return;
    event.preventDefault();
    void showLine(panel, editors, cell, event.detail.line);
  });
}
