// The Driver view: what the driver has on the machine, and buttons to talk with it.
// Talks with kernellab/pane/driver_tab.py.
import { aligned } from "./log.js";
import { toClipboard } from "./export.js";
import { poolChart } from "./chart.js";
import { CtlCode, wholeNumber } from "./ctlcode.js";
import { HexEditor, hexDump, toHex, toText } from "./hex.js";
import { TABS } from "./tabs.js";
import { element } from "./text.js";

const DRIVER_EVERY = 1000;
const DRIVER_LOST = 10_000;
const DRIVER_UNFOLDED = new Set(["devices", "pool"]);
const DRIVER_NO_KERNEL = "no kernel behind this pane: run the cell again";
const DRIVER_REQUESTS = { ioctl: "Send control code", read: "Read", write: "Write" };
let driverViews = 0;

class DriverView {
  constructor(host) {
    this.host = host;
    this.id = `kernellab-driver-${(driverViews += 1)}`;
    this.mark = "";
    this.asked = 0;
    this.sections = new Map(); // id -> {text, el, head, body}
    this.info = { reasons: {}, links: [], handles: [], snapshots: [], busy: "" };
    this.buttons = []; // [button, what it needs]
    this.build();
  }

  // -- built once -------------------------------------------------------------------------------

  build() {
    this.facts = element("table", { class: "facts" });
    this.note = element("div", { class: "dim" });
    this.old = element("div", { class: "dim", role: "status" });
    this.tables = element("div", { class: "sections" });
    const refresh = element("button", { type: "button", text: "Refresh", onclick: () => this.ask(true) });
    this.el = element("div", { class: "driver-view" },
      element("div", { class: "facts-row" }, this.facts, refresh), this.note, this.old,
      this.folded("Talk to the device", true, ...this.talk()),
      this.tables,
      this.folded("Snapshots of the machine", false, ...this.snapshotPart()));
  }

  folded(title, open, ...children) {
    const head = element("summary", { text: title });
    const el = element("details", {}, head, ...children);
    el.open = open;
    return el;
  }

  button(text, needs, press) {
    const made = element("button", {
      type: "button", text, onclick: () => {
        if (made.getAttribute("aria-disabled") !== "true") press();
      },
    });
    this.buttons.push([made, needs]);
    return made;
  }

  field(id, text, input) {
    input.id = `${this.id}-${id}`;
    return element("span", { class: "field" }, element("label", { for: input.id, text }), input);
  }

  talk() {
    this.links = element("select", { onchange: () => this.typed() });
    this.path = element("input", { placeholder: "\\\\.\\Name", "aria-label": "Device name", spellcheck: "false" });
    this.handles = element("select", {});
    this.what = element("select", { onchange: () => this.shape() },
      ...Object.entries(DRIVER_REQUESTS).map(([value, text]) => element("option", { value, text })));
    this.code = new CtlCode(this.id);
    this.input = new HexEditor(`${this.id}-input`, "Input");
    this.size = element("input", { class: "narrow", value: "64" });
    this.offset = element("input", { class: "narrow", value: "0" });
    this.sizeField = this.field("size", "Output bytes", this.size);
    this.offsetField = this.field("offset", "Offset", this.offset);
    this.deviceSaid = element("div", { class: "said", role: "status" });
    this.output = element("div", { class: "output" });
    const go = this.button("Send", "handle", () => this.transfer());
    const parts = [
      element("div", { class: "fields" }, this.field("link", "Device", this.links), this.path,
        this.button("Open device", "device", () => this.open())),
      element("div", { class: "fields" }, this.field("handle", "Handle", this.handles),
        this.button("Close handle", "handle", () => this.press({ action: "close", handle: this.handle() }))),
      element("div", { class: "fields" }, this.field("what", "Request", this.what),
        this.sizeField, this.offsetField, go),
      this.code.el, this.input.el, this.deviceSaid, this.output,
    ];
    this.shape();
    return parts;
  }

  snapshotPart() {
    this.name = element("input", { maxlength: "40", placeholder: "name", value: "before" });
    this.kept = element("div", {});
    this.snapshotSaid = element("div", { class: "said", role: "status" });
    return [
      element("div", { class: "fields" }, this.field("name", "Name", this.name),
        this.button("Take a snapshot", "snapshot", () => {
          this.press({ action: "snapshot", name: this.name.value });
        })),
      this.kept, this.snapshotSaid,
    ];
  }

  // Which fields the request needs.
  shape() {
    const what = this.what.value;
    this.code.el.hidden = what !== "ioctl";
    this.input.el.hidden = what === "read";
    this.sizeField.hidden = what === "write";
    this.offsetField.hidden = what === "ioctl";
  }

  typed() {
    this.path.hidden = this.links.value !== "";
  }

  // -- what the user does -----------------------------------------------------------------------

  handle() {
    return Number(this.handles.value);
  }

  open() {
    const path = this.links.value || this.path.value;
    if (!path.trim()) this.said(this.deviceSaid, "type a device's name, such as \\\\.\\Echo", true);
    else this.press({ action: "open", path });
  }

  transfer() {
    const what = this.what.value;
    const size = this.number(this.size, 1 << 20, "the number of output bytes", what !== "write");
    const offset = this.number(this.offset, Number.MAX_SAFE_INTEGER, "the offset", what !== "ioctl");
    if (size === null || offset === null) return;
    if (what !== "read" && this.input.error) {
      this.said(this.deviceSaid, `the input is not right: ${this.input.error}`, true);
      this.input.el.querySelector("[aria-invalid]")?.focus();
      return;
    }
    const message = { action: what, handle: this.handle() };
    if (what !== "read") message.hex = toHex(this.input.bytes);
    if (what !== "write") message.size = size;
    if (what !== "ioctl") message.offset = offset;
    if (what === "ioctl") {
      message.code = this.code.value;
      if (message.code === null) {
        this.said(this.deviceSaid, "the control code is not a number from 0 to 0xffffffff", true);
        this.code.code.focus();
        return;
      }
    }
    this.press(message);
  }

  number(field, most, what, needed) {
    const value = needed ? wholeNumber(field.value, most) : 0;
    field.toggleAttribute("aria-invalid", false);
    if (value === null) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
      this.said(this.deviceSaid, `${what} has to be a whole number from 0 to ${most.toLocaleString("en-US")}`, true);
    }
    return value;
  }

  press(message) {
    const said = this.sayer(message.action);
    this.said(said, `${message.action} …`);
    if (said === this.deviceSaid) this.output.replaceChildren();
    this.host.press(message);
  }

  sayer(action) {
    return ["snapshot", "restore", "delete"].includes(action) ? this.snapshotSaid : this.deviceSaid;
  }

  said(where, text, wrong = false) {
    where.textContent = wrong ? `✖ ${text}` : text;
    where.classList.toggle("error", wrong);
    where.setAttribute("role", wrong ? "alert" : "status");
  }

  // -- asking -----------------------------------------------------------------------------------

  shown() {
    this.mark = "";
    this.ask(true);
    clearInterval(this.timer);
    this.timer = setInterval(() => this.ask(), DRIVER_EVERY);
  }

  hidden() {
    clearInterval(this.timer);
  }

  dispose() {
    clearInterval(this.timer);
  }

  changed() {
    this.ask(true);
  }

  // Nothing is asked where nobody looks, nor again before the answer has come.
  ask(now = false) {
    const state = this.host.head().state;
    if (!this.host.live()) {
      this.enable();
      return;
    }
    if (!now && (state !== "running" || document.hidden || !this.el.offsetParent)) return;
    if (this.asked && performance.now() - this.asked < DRIVER_LOST) {
      this.again ||= now;
      return;
    }
    this.again = false;
    this.asked = performance.now();
    this.host.send({ have: this.mark });
  }

  message(content, buffers) {
    if (content.kind === "result") {
      this.result(content, buffers);
      return;
    }
    this.asked = 0;
    if (content.kind === "info") this.show(content);
    else if (content.kind === "error") this.note.textContent = content.text;
    else if (content.mark !== this.mark) this.again = true; // the answer to another view of this pane
    if (this.again) this.ask(true);
  }

  result(content, buffers) {
    const where = this.sayer(content.action);
    this.said(where, content.error || content.text, Boolean(content.error));
    if (where !== this.deviceSaid) return;
    this.newest = content.action === "open" && !content.error;
    this.output.replaceChildren();
    if (!content.error && content.bytes > 0) this.bytes(new Uint8Array(aligned(buffers[0])));
  }

  bytes(bytes) {
    const copy = element("button", { type: "button", text: "Copy hex", onclick: () => toClipboard(toHex(bytes)) });
    const reuse = element("button", {
      type: "button", text: "Use as input", onclick: () => {
        this.input.hex.value = toHex(bytes, " ");
        this.input.hex.dispatchEvent(new Event("input"));
      },
    });
    this.output.replaceChildren(
      element("pre", { text: hexDump(bytes), tabindex: "0", "aria-label": "Output, hex" }),
      element("div", { class: "fields" },
        element("span", {}, "as text: ", element("code", { text: toText(bytes.subarray(0, 1000)) })), copy, reuse));
  }

  // -- showing ----------------------------------------------------------------------------------

  show(info) {
    this.info = info;
    this.mark = info.mark;
    this.facts.replaceChildren(element("tbody", {}, ...info.facts.map((row) => this.fact(row))));
    this.note.textContent = info.note ?? "";
    this.old.textContent = info.stale ? "another call is under way: the rest follows when it has ended" : "";
    this.choose(this.links, [...info.links, ["", "another name …"]]);
    this.typed();
    this.choose(this.handles, info.handles.length ? info.handles : [["", "none is open"]], this.newest);
    this.newest = false;
    if (info.busy && info.waiting) this.said(this.sayer(info.busy), `${info.busy}: ${info.waiting}`);
    this.keep(info.snapshots);
    const pool = poolChart(info.pool ?? []);
    const seen = info.sections.map((section) => this.section(section, section.id === "pool" ? pool : null));
    for (const el of [...this.tables.children]) if (!seen.includes(el)) el.remove();
    seen.forEach((el, at) => {
      if (this.tables.children[at] !== el) this.tables.insertBefore(el, this.tables.children[at] ?? null);
    });
    this.enable();
  }

  fact([label, value, copied]) {
    const cell = element("td", {}, copied ? element("code", { text: value }) : value);
    if (copied) {
      cell.append(" ", element("button", {
        type: "button", class: "small", text: "Copy", "aria-label": `Copy ${label}`,
        onclick: () => toClipboard(copied),
      }));
    }
    return element("tr", {}, element("th", { scope: "row", text: label }), cell);
  }

  // Options anew where they are others; the choice stays, or is the newest.
  choose(select, options, newest = false) {
    const text = JSON.stringify(options);
    if (select.dataset.options === text) return;
    const chosen = select.value || (this.path.value && select === this.links ? "" : null);
    select.dataset.options = text;
    select.replaceChildren(...options.map(([value, label]) => element("option", { value, text: label })));
    const values = options.map(([value]) => String(value));
    select.value = newest ? values.at(-1) : values.includes(chosen) ? chosen : values[0];
  }

  section(section, chart) {
    const text = JSON.stringify(section);
    let known = this.sections.get(section.id);
    if (!known) {
      known = { text: "", head: element("summary"), body: element("div"), chart: element("div") };
      known.el = element("details", {}, known.head, known.chart, known.body);
      known.el.open = DRIVER_UNFOLDED.has(section.id);
      this.sections.set(section.id, known);
    }
    if (section.id === "pool") known.chart.replaceChildren(...(chart ? [chart] : []));
    if (known.text === text) return known.el;
    known.text = text;
    const shown = section.rows.length;
    const count = section.total > shown
      ? `first ${shown.toLocaleString("en-US")} of ${section.total.toLocaleString("en-US")}` : String(shown);
    known.head.replaceChildren(`${section.title} `, element("span", { class: "dim", text: `(${count})` }));
    if (section.warning) known.head.append(" ", element("span", { class: "warning", text: `⚠ ${section.warning}` }));
    known.body.replaceChildren(shown ? sectionTable(section) : element("div", { class: "dim", text: "none" }));
    return known.el;
  }

  keep(snapshots) {
    const text = JSON.stringify(snapshots);
    if (this.kept.dataset.rows === text) return;
    this.kept.dataset.rows = text;
    this.buttons = this.buttons.filter(([button]) => !this.kept.contains(button));
    const rows = snapshots.map(([name, time, why]) => {
      const restore = this.button("Restore", why ? `=${why}` : "idle", () => this.press({ action: "restore", name }));
      const remove = this.button("Delete", "idle", () => this.press({ action: "delete", name }));
      for (const [button, word] of [[restore, "Restore"], [remove, "Delete"]]) {
        button.setAttribute("aria-label", `${word} ${name}`);
      }
      return element("tr", {}, element("th", { scope: "row", text: name }),
        element("td", { class: "number", text: `${time} s` }),
        element("td", {}, restore, " ", remove, why ? element("span", { class: "dim", text: ` ${why}` }) : ""));
    });
    const head = ["Name", "Taken at", ""].map((text) => element("th", { scope: "col", text }));
    this.kept.replaceChildren(...(rows.length
      ? [element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows))] : []));
  }

  // What can be pressed, and why not.
  enable() {
    const { reasons, handles, busy } = this.info;
    for (const [button, needs] of this.buttons) {
      let why = this.host.live() ? "" : DRIVER_NO_KERNEL;
      why ||= busy ? `${busy} is under way` : "";
      if (needs.startsWith("=")) why ||= needs.slice(1);
      if (needs === "device" || needs === "handle") why ||= reasons.device ?? "";
      if (needs === "handle" && !handles.length) why ||= "open a device first";
      if (needs === "snapshot") why ||= reasons.snapshot ?? "";
      button.setAttribute("aria-disabled", String(Boolean(why)));
      button.title = why;
    }
    const blocked = this.host.live() ? reasons.device ?? "" : DRIVER_NO_KERNEL;
    if (this.blocked !== blocked) {
      this.blocked = blocked;
      // What went wrong is read until the devices can be used again.
      if (!blocked || !this.deviceSaid.classList.contains("error")) this.said(this.deviceSaid, blocked);
    }
  }
}

function sectionTable(section) {
  const head = section.columns.map(([text, number]) => element("th", {
    scope: "col", text, class: number ? "number" : "",
  }));
  const rows = section.rows.map((row) => element("tr", {}, ...row.map((text, at) => element("td", {
    text, class: section.columns[at][1] ? "number" : "",
  }))));
  return element("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": section.title },
    element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
}

TABS.set("driver", { label: "Driver", make: (host) => new DriverView(host) });
