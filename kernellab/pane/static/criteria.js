// What the user filters by: kept here, chosen in a box, shown as chips that can be taken away.
import { CLASSES, checkedNames, element, formatTime } from "./text.js";
import { Popup, checkBox, menuTitle } from "./menu.js";

export class Criteria {
  // `changed` is called when other rows should be shown.
  constructor(store, { changed, selectedTimes }) {
    this.store = store;
    this.changed = changed;
    this.selectedTimes = selectedTimes;
    this.text = "";
    this.regular = this.sensitive = this.find = false;
    this.clear();
    this.popup = new Popup({
      label: "Filters ▾", title: "Filters: level, component, driver, time", role: "dialog",
      fill: (box) => this.fill(box),
    });
    this.chips = element("div", { class: "chips", role: "group", "aria-label": "Active filters" });
  }

  clear() {
    this.classes = this.components = this.drivers = null; // sets of what passes; null: all
    this.from = this.to = null; // seconds
    this.invert = false;
  }

  // The pattern of the text, or null. Throws what is wrong with a regular expression.
  pattern() {
    if (!this.text) return null;
    const source = this.regular ? this.text : this.text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    return new RegExp(source, this.sensitive ? "gm" : "gim");
  }

  // A rule for a Filter; `pattern` as above where the text hides rows.
  rule(pattern) {
    const { classes, components, drivers, from, to, invert } = this;
    const any = pattern || classes || components || drivers || from !== null || to !== null;
    return any ? { pattern, invert: invert && Boolean(pattern), classes, components, drivers, from, to } : null;
  }

  // -- the box ------------------------------------------------------------------------------------

  fill(box) {
    box.append(this.choice("Level", "classes", [...CLASSES]));
    const components = Object.entries(this.store.components).map(([id, name]) => [Number(id), name]);
    if (components.length) box.append(this.choice("Component", "components", components));
    const drivers = this.store.drivers.filter(Boolean);
    if (drivers.length > 1) {
      box.append(this.choice("Driver", "drivers", this.store.drivers.map((d) => [d, d || "(machine)"])));
    }
    box.append(this.times(), element("div", { class: "group" },
      checkBox("Show lines that do not match the text", this.invert, (on) => {
        this.invert = on;
        this.update();
      })));
    box.append(element("div", { class: "actions" },
      element("button", { type: "button", text: "Clear filters", onclick: () => this.clearAll() }),
      element("button", { type: "button", text: "Close", onclick: () => this.popup.close() })));
  }

  choice(title, field, entries) {
    const group = element("div", { class: "group", role: "group", "aria-label": title }, menuTitle(title));
    for (const [id, name] of entries) {
      group.append(checkBox(name, !this[field] || this[field].has(id), (on) => {
        const set = this[field] ?? new Set(entries.map(([each]) => each));
        if (on) set.add(id);
        else set.delete(id);
        this[field] = entries.every(([each]) => set.has(each)) ? null : new Set(set);
        this.update();
      }));
    }
    const only = element("button", { type: "button", class: "small", text: "none", title: `No ${title.toLowerCase()}`,
      onclick: () => {
        this[field] = new Set();
        this.update();
        this.popup.refill();
      } });
    const all = element("button", { type: "button", class: "small", text: "all", title: `Every ${title.toLowerCase()}`,
      onclick: () => {
        this[field] = null;
        this.update();
        this.popup.refill();
      } });
    group.firstChild.append(all, only);
    return group;
  }

  times() {
    const group = element("div", { class: "group", role: "group", "aria-label": "Time" }, menuTitle("Time, seconds"));
    const field = (name, label) => {
      const input = element("input", { type: "text", inputmode: "decimal", class: "time-field", "aria-label": label,
        placeholder: label, value: this[name] === null ? "" : String(this[name]),
        onchange: () => {
          const value = input.value.trim() === "" ? null : Number(input.value.replace(",", "."));
          input.setAttribute("aria-invalid", String(Number.isNaN(value)));
          if (Number.isNaN(value)) return;
          this[name] = value;
          this.update();
        } });
      return input;
    };
    const last = element("input", { type: "text", inputmode: "decimal", class: "time-field", "aria-label": "Last milliseconds",
      placeholder: "ms",
      onchange: () => {
        const value = Number(last.value.replace(",", "."));
        last.setAttribute("aria-invalid", String(!(value > 0)));
        if (!(value > 0) || !this.store.size) return;
        this.from = Math.max(0, this.store.time(this.store.end - 1) - value / 1e3);
        this.to = null;
        this.update();
        this.popup.refill();
      } });
    group.append(element("div", { class: "line" }, "from ", field("from", "first"), " to ", field("to", "last")),
      element("div", { class: "line" }, "the last ", last, " milliseconds"));
    const span = this.selectedTimes();
    if (span) {
      group.append(element("button", { type: "button", class: "small", text: "From the selected lines",
        onclick: () => {
          [this.from, this.to] = span;
          this.update();
          this.popup.refill();
        } }));
    }
    return group;
  }

  // A time clicked with Shift: the range begins there, or ends there where it has begun.
  pick(time) {
    if (this.from !== null && this.to === null && time >= this.from) this.to = time;
    else [this.from, this.to] = [time, null];
    this.update();
  }

  clearAll() {
    this.clear();
    this.update();
    if (this.popup.open) this.popup.refill();
  }

  update() {
    this.drawChips();
    this.changed();
  }

  // -- the chips ----------------------------------------------------------------------------------

  drawChips() {
    const { components } = this.store;
    const chips = [];
    const chip = (text, remove) => chips.push(element("button", {
      type: "button", class: "chip", title: "Take this filter away", "aria-label": `Remove filter: ${text}`,
      onclick: () => {
        remove();
        this.update();
      },
    }, text, element("span", { class: "cross", "aria-hidden": "true", text: "✕" })));
    const set = (name, field, ids, label) => {
      if (!this[field]) return;
      const text = checkedNames(ids.filter((id) => this[field].has(id)).map(label), ids.filter((id) => !this[field].has(id)).map(label));
      chip(`${name}: ${text}`, () => (this[field] = null));
    };
    set("level", "classes", [...CLASSES.keys()], (id) => CLASSES.get(id));
    set("component", "components", Object.keys(components).map(Number), (id) => components[id]);
    set("driver", "drivers", this.store.drivers, (id) => id || "(machine)");
    if (this.from !== null || this.to !== null) {
      const from = this.from === null ? "" : `from ${formatTime(this.from)} `;
      chip(`${from}${this.to === null ? "" : `to ${formatTime(this.to)} `}s`, () => (this.from = this.to = null));
    }
    if (this.invert) chip("lines without the text", () => (this.invert = false));
    if (chips.length) {
      chips.push(element("button", { type: "button", class: "small", text: "Clear filters", onclick: () => this.clearAll() }));
    }
    this.chips.replaceChildren(...chips);
    this.chips.hidden = chips.length === 0;
  }
}
