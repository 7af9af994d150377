// Further views of a pane beside its log. Each is a class in a module of its own:
//
//   class Some { constructor(host); el; shown(); hidden(); changed(); message(content, buffers); dispose(); }
//   TABS.set("some", { label: "Some", make: (host) => new Some(host) });
//
// It is made when it is opened first. `changed` says that the kernel has something new: an open tab
// asks for it (host.send), and what the kernel answers comes to `message`. Nothing is sent to a
// closed tab. `host` has send(content), press(content) with the buttons' own care, root and driver().
import { element } from "./text.js";

export const TABS = new Map();

export class TabBar {
  // `log` is the first tab's element; `host(name)` makes what a tab talks to.
  constructor(log, host) {
    this.host = host;
    this.made = new Map(); // name -> tab, those opened once
    this.revisions = new Map(); // name -> what the open tab has asked for
    this.names = [];
    this.current = "log";
    this.log = log;
    this.id = `kernellab-tab-${Math.random().toString(36).slice(2, 10)}`;
    this.el = element("div", {
      class: "tabs", role: "tablist", "aria-label": "Views", onkeydown: (e) => this.key(e),
    });
    this.panels = element("div", { class: "tab-panels" }, log);
  }

  // What the kernel says there is: [[name, revision], …]. A pane with a log alone has no bar.
  update(tabs) {
    const known = tabs.filter(([name]) => TABS.has(name));
    const names = ["log", ...known.map(([name]) => name)];
    if (names.join() !== this.names.join()) this.rebuild(names);
    for (const [name, revision] of known) {
      if (this.current !== name || this.revisions.get(name) === revision) continue;
      this.revisions.set(name, revision);
      this.made.get(name)?.changed?.();
    }
    this.known = known;
  }

  rebuild(names) {
    this.names = names;
    this.el.hidden = names.length < 2;
    this.el.replaceChildren(...names.map((name) => this.button(name)));
    for (const [name, tab] of this.made) {
      if (names.includes(name)) continue;
      tab.dispose?.();
      tab.el.remove();
      this.made.delete(name);
    }
    if (names.length > 1) {
      this.panel(this.log, "log");
    } else {
      for (const name of ["role", "aria-labelledby"]) this.log.removeAttribute(name);
    }
    this.open(names.includes(this.current) ? this.current : "log");
  }

  button(name) {
    return element("button", {
      type: "button", role: "tab", id: `${this.id}-${name}`, "data-tab": name,
      text: name === "log" ? "Log" : TABS.get(name).label, onclick: () => this.open(name),
    });
  }

  panel(el, name) {
    el.id = `${this.id}-${name}-panel`;
    el.setAttribute("role", "tabpanel");
    el.setAttribute("aria-labelledby", `${this.id}-${name}`);
  }

  open(name) {
    const before = this.made.get(this.current);
    if (this.current !== name) before?.hidden?.();
    this.current = name;
    if (name !== "log" && !this.made.has(name)) {
      const tab = TABS.get(name).make(this.host(name));
      tab.el.classList.add("tab-panel");
      this.panel(tab.el, name);
      this.made.set(name, tab);
      this.panels.append(tab.el);
    }
    this.log.hidden = name !== "log";
    for (const [other, tab] of this.made) tab.el.hidden = other !== name;
    for (const button of this.el.children) {
      const on = button.dataset.tab === name;
      button.setAttribute("aria-selected", String(on));
      button.setAttribute("aria-controls", `${this.id}-${button.dataset.tab}-panel`);
      button.tabIndex = on ? 0 : -1;
    }
    this.revisions.delete(name);
    this.made.get(name)?.shown?.();
    this.update(this.known ?? []);
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const end = { Home: 0, End: this.names.length - 1 }[event.key];
    if (step === undefined && end === undefined) return;
    const at = this.names.indexOf(this.current);
    const to = end ?? (at + step + this.names.length) % this.names.length;
    this.open(this.names[to]);
    this.el.children[to].focus();
    event.preventDefault();
  }

  message(content, buffers) {
    this.made.get(content.tab)?.message?.(content, buffers);
  }

  dispose() {
    for (const tab of this.made.values()) tab.dispose?.();
  }
}
