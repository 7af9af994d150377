// Edits that come as outputs of a running cell (%rustfmt): applied once, when the kernel sends them.
//
// Only a message of the kernel that answers this page's own request to run a cell is applied. What
// shows the output never edits: a notebook that is opened, reloaded or copied has outputs too, and
// whoever wrote them must not be able to change a cell.

import { Widget } from "@lumino/widgets";

import { change, codeCells, lockOf, textOf } from "./cells.js";
import { isCellOf } from "./magic.js";
import { changesBetween } from "./texts.js";

export const MIME = "application/vnd.kernellab.edit+json";

function isEdit(data) {
  const find = data?.find;
  return (
    data?.version === 1 && typeof data.expected === "string" && typeof data.text === "string" &&
    typeof find?.magic === "string" && typeof find.name === "string" &&
    (find.path === null || typeof find.path === "string")
  );
}

function cellName({ magic, name, path }) {
  return path === null ? `%%${magic} ${name}` : `%%${magic} ${name} ${path}`;
}

// IPython's history, which the kernel has the text from, cuts line feeds off a cell's end.
function withoutEnd(text) {
  return text.replace(/\n+$/, "");
}

function apply(panel, data) {
  const name = cellName(data.find);
  const cells = codeCells(panel)
    .filter(({ head }) => isCellOf(head, data.find.magic, data.find.name, data.find.path))
    .map(({ cell }) => cell);
  if (!cells.length) return { ok: false, message: `The notebook has no cell ${name}.` };
  const expected = withoutEnd(data.expected);
  const cell = cells.find((each) => withoutEnd(textOf(each)) === expected);
  if (!cell) {
    return { ok: false, message: `The cell ${name} has changed since it ran: it is left as it is.` };
  }
  const locked = lockOf(panel, cell);
  if (locked) return { ok: false, message: `The cell ${name} is left as it is: ${locked}.` };
  const changes = changesBetween(expected, withoutEnd(data.text));
  change(cell, changes);
  const places = `${changes.length} ${changes.length === 1 ? "place" : "places"}`;
  return { ok: true, message: `The cell ${name} is changed in ${places}. Ctrl-Z in it takes that back.` };
}

// Which edits were applied while this page is open, for what shows them.
class Applied {
  constructor() {
    this.results = new Map();
    this.shown = new Set();
  }

  set(data, result) {
    this.results.set(JSON.stringify(data), result);
    for (const widget of this.shown) widget.draw();
  }

  get(data) {
    return this.results.get(JSON.stringify(data)) ?? null;
  }
}

class EditOutput extends Widget {
  constructor(applied) {
    super();
    this.applied = applied;
    this.model = null;
    this.addClass("kernellab-edit-output");
    applied.shown.add(this);
  }

  dispose() {
    this.applied.shown.delete(this);
    super.dispose();
  }

  async renderModel(model) {
    this.model = model;
    this.draw();
  }

  draw() {
    const data = this.model?.data[MIME];
    if (!isEdit(data)) return;
    const result = this.applied.get(data);
    const line = document.createElement("div");
    line.setAttribute("role", "status");
    line.style.padding = "2px 8px";
    line.textContent = result
      ? `${result.ok ? "✔" : "✖"} ${result.message}`
      : `A change of the cell ${cellName(data.find)}, from when this ran. It is not applied again.`;
    this.node.replaceChildren(line);
    const text = this.model.data["text/plain"];
    if (typeof text !== "string") return;
    const more = document.createElement("pre");
    more.style.cssText = "margin:0;padding:2px 8px;overflow:auto;max-height:420px";
    more.textContent = text;
    if (result?.ok) {
      const folded = document.createElement("details");
      folded.style.padding = "0 8px";
      folded.append(document.createElement("summary"), more);
      folded.firstChild.textContent = "What has changed";
      this.node.append(folded);
    } else {
      this.node.append(more);
    }
  }
}

// Show edits in outputs; the result is to be passed to `followKernel`.
export function showEdits(rendermime) {
  const applied = new Applied();
  rendermime.addFactory(
    { safe: true, mimeTypes: [MIME], createRenderer: () => new EditOutput(applied) },
    40,
  );
  return applied;
}

// Apply what the kernel of `panel` sends while it runs a cell for this page.
export function followKernel(panel, applied) {
  panel.sessionContext.iopubMessage.connect((context, message) => {
    const type = message.header.msg_type;
    if (type !== "display_data" && type !== "execute_result") return;
    const data = message.content.data?.[MIME];
    if (data === undefined || !isEdit(data)) return;
    const parent = message.parent_header;
    const kernel = context.session?.kernel;
    if (!kernel || parent.session !== kernel.clientId || parent.msg_type !== "execute_request") return;
    applied.set(data, apply(panel, data));
  });
}
