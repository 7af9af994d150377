// The pane: head line, panels, and the log with further tabs. Talks with kernellab/pane/log.py.
import { element } from "./text.js";
import { LogView } from "./log.js";
import { Panels } from "./panels.js";
import { ProgressRow } from "./progress.js";
import { headOf, objectsOf, snapshotOf, textsOf } from "./saved.js";
import { TabBar } from "./tabs.js";

const STATES = {
  building: ["◌", "busy"],
  loading: ["◌", "busy"],
  connecting: ["◌", "busy"],
  testing: ["◌", "busy"],
  tested: ["■", "good"],
  cancelling: ["◌", "busy"],
  running: ["▶", "good"],
  watching: ["▶", "good"],
  built: ["■", ""],
  "unload pending": ["◌", "busy"],
  unloaded: ["■", ""],
  gone: ["■", ""],
  interrupted: ["■", "warning"],
  failed: ["✖", "error"],
  "bug check": ["✖", "error"],
  "timed out": ["✖", "error"],
  waiting: ["◌", "busy"],
};
// Where the driver is not on the machine, what reloads it loads it.
const NOT_LOADED = new Set(["built", "failed", "unloaded", "gone"]);
const ANNOUNCE = 1500;
const ANSWER = 600;
const NOT_HEARD = "the kernel is busy: this follows when the running cell has ended";
const NO_CANCEL = "this front end hands it over when the cell has ended: press the notebook's own ■ instead";
const NOT_HERE = "not available here";
const NOT_LIVE = "no kernel behind this pane: run the cell again";

class Pane {
  constructor(model, el) {
    this.model = model;
    this.live = false;
    this.gone = false; // it was live, and its kernel is no more
    this.pressed = "";
    this.unheard = false;
    this.build(el);
    this.log.restore(snapshotOf(model));
    model.on("change:head", () => this.heard());
    model.on("change:panels", () => this.panels());
    model.on("msg:custom", (content, buffers) => this.message(content, buffers));
    model.on("comm_live_update", () => this.lost());
    this.head();
    this.panels();
    this.log.ask(0);
  }

  build(el) {
    this.badge = element("span", { class: "badge" });
    this.title = element("strong", { class: "title" });
    this.detail = element("span", { class: "detail" });
    this.timings = element("span", { class: "timings" });
    this.unload = this.action("unload", "Unload");
    this.reload = this.action("reload", "Reload");
    const actions = element("span", { class: "actions" }, this.unload, this.reload);
    const head = element("div", { class: "head" }, this.badge, this.title, this.timings,
      actions, this.detail);
    this.panelBox = new Panels(this);
    this.progress = new ProgressRow(() => this.press({ type: "cancel" }));
    this.log = new LogView({
      send: (content) => this.send(content),
      changed: () => this.announce(),
    });
    this.tabs = new TabBar(this.log.el, (name) => this.host(name));
    this.note = element("div", { class: "note", role: "alert" });
    this.status = element("div", { class: "status", role: "status" });
    this.root = element("section", {
      class: "kernellab-log", "data-lm-suppress-shortcuts": "true",
      onkeydown: (e) => this.key(e),
    }, head, this.progress.el, this.panelBox.el, this.tabs.el, this.tabs.panels, this.note, this.status);
    el.append(this.root);
    // While this is in the page, its static form need not be (kernellab/pane/show.py).
    this.hider = element("style");
    document.head.append(this.hider);
  }

  action(name, label) {
    return element("button", {
      type: "button", text: label, class: "action",
      onclick: (event) => {
        if (event.currentTarget.getAttribute("aria-disabled") === "true") return;
        this.press({ type: name });
      },
    });
  }

  // The kernel sends the mark back with what it makes of the press. Where no answer comes soon,
  // this front end hands messages over only between two cells: say so.
  press(content) {
    const name = content.action ?? content.type;
    this.pressed = `${name} ${Math.random()}`;
    this.send({ ...content, mark: this.pressed });
    clearTimeout(this.pressTimer);
    this.pressTimer = setTimeout(() => {
      this.unheard = this.pressed !== "" && this.live;
      this.head();
    }, ANSWER);
  }

  // What a tab talks to; a tab's messages carry its name both ways.
  host(name) {
    return {
      root: this.root,
      send: (content) => this.send({ ...content, type: "tab", tab: name }),
      press: (content) => this.press({ ...content, type: "tab", tab: name }),
      head: () => headOf(this.model),
      live: () => this.live,
    };
  }

  dispose() {
    this.log.dispose();
    this.progress.dispose();
    this.tabs.dispose();
    this.hider.remove();
    for (const timer of [this.statusTimer, this.pressTimer]) clearTimeout(timer);
  }

  // -- from the kernel --------------------------------------------------------------------------

  message(content, buffers) {
    if (content?.type === "tab") {
      this.tabs.message(content, buffers);
    } else if (content?.type === "rows") {
      if (!this.live || this.gone) this.heard();
      this.log.message(content, buffers);
    }
  }

  heard() {
    this.live = true;
    this.gone = false;
    this.head();
  }

  lost() {
    this.gone ||= this.live;
    this.live = false;
    this.head();
  }

  send(content) {
    try {
      this.model.send(content);
    } catch {
      this.lost();
    }
  }

  // -- what is shown ----------------------------------------------------------------------------

  head() {
    const head = headOf(this.model);
    if (this.pressed && head.heard === this.pressed) {
      this.pressed = "";
      this.unheard = false;
    }
    const pressed = this.pressed.split(" ")[0];
    const cancels = this.unheard && pressed === "cancel";
    const waiting = this.unheard ? (cancels ? NO_CANCEL : NOT_HEARD) : head.waiting || "";
    const busy = head.busy === "cancel" ? "cancelling" : `${head.busy}ing`;
    let state = waiting ? "waiting" : head.busy ? busy : head.state || "";
    // What went on is over with its kernel; what had ended stays as it was.
    const over = this.gone && ["busy", "good"].includes(STATES[state]?.[1] ?? "busy");
    if (over) state = "gone";
    const [mark, tone] = STATES[state] ?? ["◌", head.busy ? "busy" : ""];
    this.badge.className = `badge ${tone}`;
    this.badge.replaceChildren(element("span", { class: "mark", "aria-hidden": "true", text: mark }),
      state);
    this.title.textContent = head.title ?? "";
    const what = this.unheard ? pressed : head.busy;
    if (over) this.detail.textContent = "there is " + NOT_LIVE;
    else this.detail.textContent = waiting ? `${what}: ${waiting}` : head.detail ?? "";
    this.timings.textContent = head.timings ?? "";
    this.root.setAttribute("aria-label", `Driver ${head.title ?? ""}: ${state}`);
    const load = NOT_LOADED.has(head.state) ? "Load" : "Reload";
    if (this.reload.textContent !== load) this.reload.textContent = load;
    for (const [name, button] of [["unload", this.unload], ["reload", this.reload]]) {
      let reason = this.live ? head.reasons?.[name] ?? "" : NOT_LIVE;
      if (this.unheard) reason = NOT_HEARD;
      button.hidden = reason === NOT_HERE;
      // aria-disabled keeps the button in the tab order, so that its reason can be read.
      button.setAttribute("aria-disabled", String(Boolean(reason)));
      button.title = reason || `${button.textContent} the driver`;
    }
    const uncancelled = this.unheard ? NOT_HEARD : head.reasons?.cancel ?? "";
    const building = head.state === "building";
    this.progress.update(state, this.live ? head.progress : null, building ? uncancelled : null);
    this.note.textContent = head.note ?? "";
    this.note.hidden = !head.note;
    const escaped = CSS.escape(head.pane ?? "");
    const rule = escaped
      ? `.jp-OutputArea-child:has([data-kernellab-static="${escaped}"]),` +
        `[data-kernellab-static="${escaped}"]{display:none!important}`
      : "";
    if (this.hider.textContent !== rule) this.hider.textContent = rule;
    this.tabs.update(this.live ? head.tabs ?? [] : []);
    this.log.head(head);
    // Nothing is known: the saved form stands above, and an empty frame would say less.
    this.root.hidden = !(this.live || head.title || head.state || this.log.saved);
  }

  panels() {
    this.panelBox.update(textsOf(this.model, "panels"), objectsOf(this.model, "fixes"));
  }

  driver() {
    return headOf(this.model).title;
  }

  // Said to a screen reader once things have come to rest.
  announce() {
    clearTimeout(this.statusTimer);
    this.statusTimer = setTimeout(() => {
      const text = `${this.badge.textContent.slice(1)}, ${this.log.counted}`;
      if (this.status.textContent !== text) this.status.textContent = text;
    }, ANNOUNCE);
  }

  // -- what the user does -----------------------------------------------------------------------

  key(event) {
    if (this.tabs.current === "log" && this.log.key(event)) event.preventDefault();
    // The notebook's own one-letter commands are not meant here.
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  }
}

function render({ model, el }) {
  const pane = new Pane(model, el);
  return () => pane.dispose();
}

export default { render };
