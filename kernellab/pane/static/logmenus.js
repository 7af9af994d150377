// What the log's menus hold: how rows look, and files to save.
import { Popup, menuItem, menuTitle } from "./menu.js";
import { COLUMNS } from "./row.js";
import { Filter } from "./filter.js";
import { helpPopup } from "./help.js";
import { download, fileParts } from "./export.js";

const TIMES = new Map([
  ["virtual", "Virtual, seconds"], ["zero", "Relative to the zero line"], ["delta", "Since the line above"], ["none", "None"],
]);
const KEPT = "kernellab-log-look"; // in the page's storage: how the next pane's rows look
const TYPES = { log: "text/plain;charset=utf-8", jsonl: "application/jsonl;charset=utf-8" };

export class LogMenus {
  constructor(view) {
    this.view = view;
    this.options = view.list.maker.options;
    this.saving = null;
    this.look = new Popup({ label: "View ▾", title: "View: times, columns, wrapping", fill: (box) => this.fillView(box) });
    this.save = new Popup({ label: "Save ▾", title: "Save the log as a file", fill: (box) => this.fillSave(box) });
    this.help = helpPopup();
    this.drivers = false; // whether the driver's column came by itself
    this.recall();
  }

  // As the user had it in another pane of this page; some pages have no storage.
  recall() {
    try {
      const { times, wrap, columns } = JSON.parse(sessionStorage.getItem(KEPT)) ?? {};
      if (TIMES.has(times)) this.options.times = times;
      this.options.wrap = wrap === true;
      for (const id of COLUMNS.keys()) if (columns?.includes?.(id)) this.options.columns.add(id);
    } catch {
      // As it is without.
    }
  }

  // The user's choice; the driver's column comes by itself where there are several.
  keep() {
    const { times, wrap, columns } = this.options;
    const chosen = [...columns].filter((id) => id !== "driver" || !this.drivers);
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ times, wrap, columns: chosen }));
    } catch {
      // It holds for this pane.
    }
  }

  // Several drivers are in the log.
  showDrivers() {
    if (this.options.columns.has("driver")) return;
    this.options.columns.add("driver");
    this.drivers = true;
    this.redraw();
  }

  dispose() {
    this.saving = null;
    for (const popup of [this.look, this.save, this.help]) popup.dispose();
  }

  changed() {
    this.keep();
    this.redraw();
  }

  // Rows look different now.
  redraw() {
    const { list } = this.view;
    list.maker.look++;
    list.draw(true);
  }

  fillView(box) {
    const { options, look } = this;
    const { store } = this.view;
    box.append(menuTitle("Times"));
    for (const [id, label] of TIMES) {
      box.append(menuItem(look, label, () => this.setTimes(id), { checked: options.times === id, radio: true, hint: id === "virtual" ? "t" : "" }));
    }
    box.append(menuItem(look, "Make the current line zero", () => this.setZero(), { hint: "z" }));
    box.append(menuTitle("Lines"), menuItem(look, "Wrap long lines", () => this.setWrap(!options.wrap), { checked: options.wrap, hint: "w" }));
    box.append(menuTitle("Columns"));
    for (const [id, label] of COLUMNS) {
      if (id === "driver" && store.drivers.filter(Boolean).length < 2 && !options.columns.has(id)) continue;
      box.append(menuItem(look, label, () => {
        if (!options.columns.delete(id)) options.columns.add(id);
        if (id === "driver") this.drivers = false;
        this.changed();
      }, { checked: options.columns.has(id) }));
    }
  }

  setTimes(id) {
    this.options.times = id;
    this.changed();
  }

  nextTimes() {
    const ids = [...TIMES.keys()];
    this.setTimes(ids[(ids.indexOf(this.options.times) + 1) % ids.length]);
    this.view.say(`Times: ${TIMES.get(this.options.times)}`);
  }

  // Times count from the current row; from the first one where none is.
  setZero() {
    const { list } = this.view;
    list.maker.zero = list.current;
    this.setTimes("zero");
  }

  setWrap(on) {
    this.options.wrap = on;
    this.view.list.rewrap();
    this.changed();
  }

  fillSave(box) {
    const { save } = this;
    const { filter } = this.view;
    const part = filter.rule ? "shown" : "all";
    const item = (label, what, format) => box.append(menuItem(save, label, () => this.write(what, format)));
    if (this.view.list.range) item("Selected lines, text", "selected", "log");
    if (part === "shown") {
      item("Lines shown, text (.log)", "shown", "log");
      item("Lines shown, JSON lines (.jsonl)", "shown", "jsonl");
    }
    item("All lines, text (.log)", "all", "log");
    item("All lines, JSON lines (.jsonl)", "all", "jsonl");
  }

  // Save a file; the button says how far it is, and a press on an entry begins anew.
  async write(what, format) {
    const { view } = this;
    const { store, list, filter } = view;
    const mine = (this.saving = {});
    const { button } = this.save;
    const { range } = list;
    while (what !== "all" && filter.unseen()) {
      button.textContent = "…";
      await new Promise((next) => setTimeout(next, 30));
      if (this.saving !== mine) return;
    }
    const rows = (what === "all" ? new Filter(store) : filter).copy();
    const [from, to] = what === "selected" && range
      ? [rows.placeOf(range[0]), rows.placeOf(range[1] + 1)] : [0, rows.count];
    const parts = await fileParts(store, rows, from, to, format, (share) => {
      button.textContent = `${Math.floor(share * 100)} %`;
      return this.saving === mine;
    });
    if (this.saving !== mine) return;
    button.textContent = "Save ▾";
    this.saving = null;
    const name = String(view.title ?? "driver").replace(/[^\w.-]+/g, "_").slice(0, 60) || "driver";
    download(`${name}.${format}`, parts, TYPES[format]);
  }
}
