// From a pane to the cells of its notebook: show a line, change a text.
//
// kernellab's extension for JupyterLab and Notebook listens to the events; where it is not, a line
// is still found in the page, and a change is refused (the caller offers to copy it).
import { element } from "./text.js";

const FLASH = 1600;

// Show a line of the driver's source, 1-based. `file` is null for the cell that holds the pane, else
// a further file's path, such as "proto.rs". Says whether it is shown.
export function reveal(root, { driver, file = null, line }) {
  const event = new CustomEvent("kernellab-reveal", {
    bubbles: true, cancelable: true, detail: { driver, file, line },
  });
  root.dispatchEvent(event);
  if (event.defaultPrevented) return true;
  const row = rowOf(root, driver, file, line);
  if (!row) return false;
  row.scrollIntoView({ block: "center" });
  const mark = element("div", { style: "position:absolute;inset:0;background:rgba(255,193,7,.35);pointer-events:none" });
  row.style.position = "relative";
  row.append(mark);
  setTimeout(() => {
    mark.remove();
    row.style.position = "";
  }, FLASH);
  return true;
}

// A line's element in the cell that begins with the driver's magic: the one that holds the pane, or
// another one, as several drivers' log is shown below a cell of its own. Lines count from the magic's.
function rowOf(root, driver, file, line) {
  const own = root.closest(".jp-Cell, .cell");
  const magic = file === null ? "%%rustdriver" : "%%rustfile";
  for (const cell of [own, ...document.querySelectorAll(".jp-Cell, .cell")]) {
    const rows = [...(cell?.querySelectorAll(".cm-line") ?? [])];
    const first = rows.findIndex((each) => each.textContent.trim());
    const words = rows[first]?.textContent.trim().split(/\s+/) ?? [];
    if (words[0] !== magic || !words.includes(driver) || (file !== null && !words.includes(file))) continue;
    return rows[first + line - 1] ?? null;
  }
  return null;
}

// Change the driver's source: edits are [{line, column, end_line, end_column, text, expected}], lines and
// columns 1-based, columns in characters. Returns {ok, message}, or null where nothing can do it.
export function edit(root, { driver, file = null, edits, title }) {
  const event = new CustomEvent("kernellab-edit", {
    bubbles: true, cancelable: true, detail: { driver, file, edits, title },
  });
  root.dispatchEvent(event);
  return event.defaultPrevented ? event.detail.result ?? { ok: true, message: "" } : null;
}
