// What the compiler says of a Rust cell while it is written: underlined, with fixes to apply; and
// what stands under the mouse pointer. The kernel does the work, see link.js.

import { lintGutter, nextDiagnostic, previousDiagnostic, setDiagnostics } from "@codemirror/lint";
import { Compartment } from "@codemirror/state";
import { EditorView, hoverTooltip, keymap, tooltips } from "@codemirror/view";

import { change } from "./cells.js";
import { Link } from "./link.js";
import { near, offsetOfUnits } from "./texts.js";

const PAUSE = 400; // milliseconds without typing before a cell is checked
const SEVERITIES = new Set(["error", "warning", "info", "hint"]);
const MARKDOWN = "text/markdown";

const gutter = new Compartment();
const theme = EditorView.baseTheme({
  ".cm-tooltip.cm-tooltip-lint, .cm-tooltip.kernellab-hover": {
    backgroundColor: "var(--jp-layout-color1, #fff)",
    color: "var(--jp-ui-font-color1, #111)",
    border: "1px solid var(--jp-border-color1, #bdbdbd)",
    maxWidth: "min(640px, 90vw)",
  },
  ".cm-tooltip .cm-diagnostic": { whiteSpace: "pre-wrap", fontFamily: "var(--jp-code-font-family, monospace)" },
  ".cm-tooltip .cm-diagnosticAction": {
    backgroundColor: "var(--jp-brand-color1, #1976d2)",
    color: "var(--jp-ui-inverse-font-color1, #fff)",
  },
  ".kernellab-hover": { maxHeight: "320px", overflow: "auto", padding: "4px 10px" },
});

export class Diagnostics {
  constructor(editors, rendermime) {
    this.editors = editors;
    this.rendermime = rendermime;
    this.on = true;
    this.hover = true;
    this.links = new Map(); // panel -> Link
    this.cells = new Map(); // model id -> { model, rev, text, timer, used }, `text` what was checked last
    // and `used` whether it was written in or had the cursor: others are not worth a check
    editors.listeners.push((model, view, used) => this.touched(model, view, used));
    editors.extensions.push((model) => this.extension(model));
  }

  follow(panel) {
    const link = new Link(
      panel,
      (message) => this.received(message),
      () => this.opened(panel),
    );
    this.links.set(panel, link);
    panel.disposed.connect(() => this.links.delete(panel));
  }

  set(on, hover) {
    this.hover = hover;
    if (this.on === on) return;
    this.on = on;
    for (const [id, cell] of this.cells) {
      if (on && cell.used) this.schedule(cell);
      else if (!on) this.clear(id);
    }
  }

  // The panel that shows the cell `model` and has a way to the kernel.
  linkOf(model) {
    for (const [panel, link] of this.links) {
      if (link.ready && [...(panel.content.model?.cells ?? [])].includes(model)) return link;
    }
    return null;
  }

  extension(model) {
    return [
      gutter.of([]),
      theme,
      tooltips({ parent: document.body }),
      keymap.of([
        { key: "F8", run: (view) => this.editors.isRust(view) && nextDiagnostic(view) },
        { key: "Shift-F8", run: (view) => this.editors.isRust(view) && previousDiagnostic(view) },
      ]),
      hoverTooltip((view, position) => this.hovered(model, view, position), { hideOnChange: true }),
    ];
  }

  touched(model, view, used) {
    const id = model.id;
    if (!this.editors.isRust(view)) {
      if (this.cells.has(id)) this.clear(id);
      return;
    }
    let cell = this.cells.get(id);
    if (!cell) {
      cell = { model, rev: 0, text: null, timer: 0, used: false };
      this.cells.set(id, cell);
      model.sharedModel.disposed?.connect(() => this.forget(id));
    }
    cell.used ||= used;
    if (cell.used && cell.text !== model.sharedModel.getSource()) this.schedule(cell);
  }

  forget(id) {
    clearTimeout(this.cells.get(id)?.timer);
    this.cells.delete(id);
  }

  schedule(cell) {
    clearTimeout(cell.timer);
    cell.timer = setTimeout(() => this.check(cell), PAUSE);
  }

  check(cell) {
    const link = this.on ? this.linkOf(cell.model) : null;
    if (!link || !this.editors.views.has(cell.model.id)) return;
    cell.rev += 1;
    cell.text = cell.model.sharedModel.getSource();
    link.send({ type: "check", cell: cell.model.id, text: cell.text, rev: cell.rev });
  }

  opened(panel) {
    const models = new Set(panel.content.model?.cells ?? []);
    for (const cell of this.cells.values()) {
      if (cell.used && models.has(cell.model)) this.schedule(cell);
    }
  }

  clear(id) {
    const cell = this.cells.get(id);
    if (cell) {
      clearTimeout(cell.timer);
      cell.rev += 1; // what is on its way is of no use any more
      cell.text = null;
    }
    this.show(id, []);
  }

  show(id, found) {
    for (const view of this.editors.views.get(id) ?? []) {
      const wanted = this.on && this.editors.isRust(view) && found !== null;
      const has = gutter.get(view.state) ?? [];
      const spec = setDiagnostics(view.state, wanted ? found.map((make) => make(view.state.doc)) : []);
      const effects = [spec.effects].flat();
      if (wanted !== (has.length !== 0)) effects.push(gutter.reconfigure(wanted ? [lintGutter()] : []));
      view.dispatch({ ...spec, effects });
    }
  }

  received(message) {
    if (message.type !== "diagnostics" || !Array.isArray(message.items)) return;
    const cell = this.cells.get(message.cell);
    if (!this.on || !cell || cell.rev !== message.rev) return;
    // Typed on since: the check that follows says it anew.
    if (cell.text !== cell.model.sharedModel.getSource()) return;
    this.show(
      message.cell,
      message.items.filter((item) => typeof item?.message === "string").map((item) => this.maker(cell, item)),
    );
  }

  maker(cell, item) {
    const text = cell.text;
    const fixes = Array.isArray(item.fixes) ? item.fixes : [];
    return (doc) => {
      const from = near(doc, item.line, item.column);
      const to = Math.max(from, near(doc, item.end_line ?? item.line, item.end_column ?? item.column));
      return {
        from,
        // What is empty would not be seen.
        to: to === from ? Math.min(doc.lineAt(from).to, from + 1) : to,
        severity: SEVERITIES.has(item.severity) ? item.severity : "error",
        source: typeof item.code === "string" && item.code ? item.code : undefined,
        message: item.message,
        actions: fixes.map((fix) => ({ name: String(fix.title), apply: () => this.fix(cell, text, fix) })),
      };
    };
  }

  fix(cell, text, { edits }) {
    if (cell.model.sharedModel.getSource() !== text || cell.model.getMetadata("editable") === false) return;
    const changes = edits.map((edit) => ({
      from: offsetOfUnits(text, edit.line, edit.column),
      to: offsetOfUnits(text, edit.end_line, edit.end_column),
      text: edit.text,
    }));
    changes.sort((a, b) => a.from - b.from || a.to - b.to);
    const fits = changes.every(
      (each, index) =>
        each.from >= 0 && each.to >= each.from && typeof each.text === "string" &&
        (index === 0 || changes[index - 1].to <= each.from),
    );
    if (fits) change({ model: cell.model }, changes);
  }

  async hovered(model, view, position) {
    if (!this.hover || !this.editors.isRust(view)) return null;
    const link = this.linkOf(model);
    if (!link) return null;
    const line = view.state.doc.lineAt(position);
    const answer = await link.ask({
      type: "hover", cell: model.id, text: view.state.doc.toString(),
      line: line.number, column: position - line.from,
    });
    if (typeof answer?.markdown !== "string" || !answer.markdown.trim()) return null;
    const word = view.state.wordAt(position);
    const renderer = this.rendermime.createRenderer(MARKDOWN);
    // Not trusted: JupyterLab's sanitizer takes out what does not belong into documentation.
    await renderer.renderModel(
      this.rendermime.createModel({ data: { [MARKDOWN]: answer.markdown }, trusted: false }),
    );
    renderer.addClass("kernellab-hover");
    return {
      pos: word?.from ?? position,
      end: word?.to ?? position,
      above: true,
      create: () => ({ dom: renderer.node, destroy: () => renderer.dispose() }),
    };
  }
}
