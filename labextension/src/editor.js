// The editor extension of code cells: Rust where the first line says so, and all editors by model.

import { indentUnit, language } from "@codemirror/language";
import { Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, EditorView, ViewPlugin } from "@codemirror/view";

import { cellLanguage, noLanguage } from "./language.js";
import { isRust, parseHead } from "./magic.js";

// The features may have changed: look again.
const refresh = StateEffect.define();
const flash = StateEffect.define();
const FLASH_TIME = 1600; // milliseconds

const flashes = StateField.define({
  create: () => Decoration.none,
  update(value, transaction) {
    let now = value.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(flash)) continue;
      now =
        effect.value === null
          ? Decoration.none
          : Decoration.set([Decoration.line({ class: "kernellab-flash" }).range(effect.value)]);
    }
    return now;
  },
  provide: (field) => EditorView.decorations.from(field),
});

const theme = EditorView.baseTheme({
  ".kernellab-flash": {
    outline: "2px solid var(--jp-brand-color1, #1976d2)",
    outlineOffset: "-2px",
    // Under the text of a light and of a dark page.
    backgroundColor: "rgba(33, 150, 243, 0.35)",
    animation: "kernellab-flash 1.6s ease-in",
  },
  "@keyframes kernellab-flash": { to: { backgroundColor: "transparent", outlineColor: "transparent" } },
  "@media (prefers-reduced-motion: reduce)": { ".kernellab-flash": { animation: "none" } },
});

// Show which line is meant, for a moment.
export function flashLine(view, position) {
  view.dispatch({ effects: flash.of(view.state.doc.lineAt(position).from) });
  setTimeout(() => view.dispatch({ effects: flash.of(null) }), FLASH_TIME);
}

// All editors of code cells, and whether they are Rust.
export class Editors {
  constructor() {
    this.highlighting = true;
    this.language = null;
    // model id of a cell -> Set of its editors' views; a notebook may be open twice.
    this.views = new Map();
    // Called as listener(model, view, used) when an editor is there, and with `used` when its text has
    // changed or it is about to be written in.
    this.listeners = [];
    // Further editor extensions for code cells: function (model) -> extension.
    this.extensions = [];
    this.rust = StateField.define({
      create: (state) => isRust(parseHead(headText(state.doc))),
      update: (value, transaction) =>
        transaction.docChanged ? isRust(parseHead(headText(transaction.newDoc))) : value,
    });
    this.active = StateField.define({
      create: (state) => this.languageFor(state),
      update: (value, transaction) =>
        transaction.docChanged || transaction.effects.some((effect) => effect.is(refresh))
          ? this.languageFor(transaction.state)
          : value,
    });
    this.none = noLanguage();
  }

  languageFor(state) {
    return this.highlighting && state.field(this.rust) ? this.language : null;
  }

  // `rust`: JupyterLab's own language support for Rust.
  setRust(rust) {
    this.language = cellLanguage(rust);
    this.refresh();
  }

  setHighlighting(on) {
    this.highlighting = on;
    this.refresh();
  }

  refresh() {
    for (const view of this.all()) view.dispatch({ effects: refresh.of(null) });
  }

  *all() {
    for (const views of this.views.values()) yield* views;
  }

  isRust(view) {
    return view.state.field(this.rust, false) === true;
  }

  // The editor extension for the cell `model`.
  extension(model) {
    const editors = this;
    const id = model.id ?? model.sharedModel?.getId?.();
    const follow = ViewPlugin.define((view) => {
      if (!editors.views.has(id)) editors.views.set(id, new Set());
      editors.views.get(id).add(view);
      // An editor cannot be changed while it is made or updated.
      const tell = (used) => queueMicrotask(() => editors.tell(model, view, used));
      tell(false);
      return {
        update(update) {
          if (update.docChanged || (update.focusChanged && view.hasFocus)) tell(true);
        },
        destroy() {
          const views = editors.views.get(id);
          views?.delete(view);
          if (views?.size === 0) editors.views.delete(id);
        },
      };
    });
    return [
      this.rust,
      this.active,
      Prec.highest(
        language.computeN([this.active], (state) => {
          const active = state.field(this.active);
          return active ? [active] : [];
        }),
      ),
      Prec.highest(
        indentUnit.computeN([this.active], (state) => (state.field(this.active) ? ["    "] : [])),
      ),
      Prec.lowest(language.of(this.none)),
      flashes,
      theme,
      follow,
      ...this.extensions.map((make) => make(model)),
    ];
  }

  tell(model, view, used) {
    for (const listener of this.listeners) listener(model, view, used);
  }
}

function headText(doc) {
  return doc.sliceString(0, 8192);
}
