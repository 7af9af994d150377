// The pane: head line, panels, tool bar, rows. Talks with kernellab/pane/log.py.
import { adopt, element, plural } from "./text.js";
import { Filter, Store } from "./store.js";
import { RowList } from "./rows.js";

const STATES = {
  building: ["◌", "busy"],
  loading: ["◌", "busy"],
  running: ["▶", "good"],
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
const FILTER_SLICE = 25;
const ASK_AGAIN = 1500;
const ANNOUNCE = 1500;
const ANSWER = 600;
const NOT_HEARD = "the kernel is busy: this follows when the running cell has ended";
const NOT_LIVE = "no kernel behind this pane: run the cell again";

class Pane {
  constructor(model, el) {
    this.model = model;
    this.store = new Store();
    this.filter = new Filter(this.store);
    this.live = false;
    this.asked = 0;
    this.tries = 0;
    this.pressed = "";
    this.unheard = false;
    this.panelTexts = [];
    this.build(el);
    this.restore(model.get("snapshot") ?? {});
    model.on("change:head", () => this.heard());
    model.on("change:panels", () => this.panels());
    model.on("msg:custom", (content, buffers) => this.message(content, buffers));
    model.on("comm_live_update", () => this.lost());
    this.head();
    this.panels();
    this.ask(0);
  }

  build(el) {
    this.badge = element("span", { class: "badge" });
    this.title = element("strong", { class: "title" });
    this.detail = element("span", { class: "detail" });
    this.timings = element("span", { class: "timings" });
    this.unload = this.action("unload", "Unload");
    this.reload = this.action("reload", "Reload");
    const head = element("div", { class: "head" }, this.badge, this.title, this.timings,
      this.unload, this.reload, this.detail);
    this.panelBox = element("div", { class: "panels" });
    this.list = new RowList(this.store, this.filter, () => this.counts());
    this.query = element("input", {
      type: "search", placeholder: "Filter  ( / )", "aria-label": "Filter the log by text",
      spellcheck: "false", oninput: () => this.search(), onkeydown: (e) => this.queryKey(e),
    });
    this.regular = element("button", {
      type: "button", class: "toggle", text: ".*", "aria-pressed": "false",
      title: "Filter by regular expression", "aria-label": "Regular expression",
      onclick: () => {
        const on = this.regular.getAttribute("aria-pressed") !== "true";
        this.regular.setAttribute("aria-pressed", String(on));
        this.search();
      },
    });
    this.followButton = element("button", {
      type: "button", class: "toggle", onclick: () => this.list.follow(!this.list.following),
    });
    this.copyButton = element("button", {
      type: "button", text: "Copy", title: "Copy the lines shown, or what is selected",
      onclick: () => this.copy(),
    });
    this.count = element("span", { class: "count" });
    this.bar = element("div", { class: "bar", role: "toolbar", "aria-label": "Log" },
      this.query, this.regular, this.followButton, this.copyButton, this.count);
    this.note = element("div", { class: "note", role: "alert" });
    this.status = element("div", { class: "status", role: "status" });
    this.root = element("section", {
      class: "kernellab-log", "data-lm-suppress-shortcuts": "true",
      onkeydown: (e) => this.key(e),
    }, head, this.panelBox, this.bar, this.list.port, this.note, this.status);
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
        this.press(name);
      },
    });
  }

  // The kernel sends the mark back with what it makes of the press. Where no answer comes soon,
  // this front end hands messages over only between two cells: say so.
  press(name) {
    this.pressed = `${name} ${Math.random()}`;
    this.send({ type: name, mark: this.pressed });
    clearTimeout(this.pressTimer);
    this.pressTimer = setTimeout(() => {
      this.unheard = this.pressed !== "" && this.live;
      this.head();
    }, ANSWER);
  }

  dispose() {
    this.list.dispose();
    this.hider.remove();
    for (const timer of [this.askTimer, this.filterTimer, this.statusTimer, this.pressTimer]) clearTimeout(timer);
  }

  // -- from the kernel --------------------------------------------------------------------------

  message(content, buffers) {
    if (content?.type !== "rows") return;
    if (this.saved) {
      this.saved = false;
      this.store.reset(0);
      this.filter.restart();
      this.list.draw(true);
    }
    this.heard();
    const [times, metas, text] = buffers.map((b) => aligned(b));
    const count = times.byteLength / 8;
    const texts = count ? new TextDecoder().decode(text).split("\n") : [];
    const outcome = this.store.apply(
      content.first, content.base, new Float64Array(times.buffer), new Uint32Array(metas.buffer), texts,
    );
    if (outcome === "gap") {
      this.ask(this.store.end);
      return;
    }
    if (this.store.end >= content.total) this.answered();
    if (outcome) this.filter.restart();
    this.refresh(outcome);
  }

  heard() {
    this.live = true;
    this.head();
  }

  lost() {
    this.live = false;
    this.head();
  }

  // Ask for rows from a number on; again a few times, as an early question may not be heard.
  ask(from) {
    if (this.askTimer) return;
    this.send({ type: "sync", from });
    this.askTimer = setTimeout(() => {
      this.askTimer = 0;
      if (++this.tries < 4) this.ask(this.store.end);
    }, ASK_AGAIN * (1 + this.tries));
  }

  answered() {
    clearTimeout(this.askTimer);
    this.askTimer = 0;
    this.tries = 0;
  }

  send(content) {
    try {
      this.model.send(content);
    } catch {
      this.lost();
    }
  }

  // Rows kept in a saved notebook's widget state; the kernel's own replace them.
  restore({ rows = [], head = 0, omitted = 0 }) {
    const gap = omitted ? [[`${plural(omitted, "line")} not kept in the notebook`, 0, 4, 0, 0]] : [];
    const all = [...rows.slice(0, head), ...gap, ...rows.slice(head)];
    this.saved = all.length > 0;
    this.store.apply(0, 0, all.map((r) => r[1]),
      all.map((r) => (r[2] | (r[3] << 8) | (r[4] << 16)) >>> 0), all.map((r) => r[0]));
    this.refresh(true);
  }

  // -- what is shown ----------------------------------------------------------------------------

  head() {
    const head = this.model.get("head") ?? {};
    if (this.pressed && head.heard === this.pressed) {
      this.pressed = "";
      this.unheard = false;
    }
    const waiting = this.unheard ? NOT_HEARD : head.waiting || "";
    const state = waiting ? "waiting" : head.busy ? `${head.busy}ing` : head.state || "";
    const [mark, tone] = STATES[state] ?? ["◌", head.busy ? "busy" : ""];
    this.badge.className = `badge ${tone}`;
    this.badge.replaceChildren(element("span", { class: "mark", "aria-hidden": "true", text: mark }),
      state);
    this.title.textContent = head.title ?? "";
    const what = this.unheard ? this.pressed.split(" ")[0] : head.busy;
    this.detail.textContent = waiting ? `${what}: ${waiting}` : head.detail ?? "";
    this.timings.textContent = head.timings ?? "";
    this.root.setAttribute("aria-label", `Driver ${head.title ?? ""}: ${state}`);
    this.list.port.setAttribute("aria-label", `Log of ${head.title ?? "the driver"}`);
    for (const [name, button] of [["unload", this.unload], ["reload", this.reload]]) {
      let reason = this.live ? head.reasons?.[name] ?? "" : NOT_LIVE;
      if (this.unheard) reason = NOT_HEARD;
      // aria-disabled keeps the button in the tab order, so that its reason can be read.
      button.setAttribute("aria-disabled", String(Boolean(reason)));
      button.title = reason || `${button.textContent} the driver`;
    }
    this.note.textContent = head.note ?? "";
    this.note.hidden = !head.note;
    const escaped = CSS.escape(head.pane ?? "");
    const rule = escaped
      ? `.jp-OutputArea-child:has([data-kernellab-static="${escaped}"]),` +
        `[data-kernellab-static="${escaped}"]{display:none!important}`
      : "";
    if (this.hider.textContent !== rule) this.hider.textContent = rule;
    this.counts();
  }

  panels() {
    const panels = this.model.get("panels") ?? [];
    if (panels.length === this.panelTexts.length && panels.every((p, i) => p === this.panelTexts[i])) {
      return;
    }
    this.panelTexts = [...panels];
    this.panelBox.replaceChildren(...panels.map((html) => adopt(String(html))));
  }

  // New rows, or other ones: filter on, in slices, and draw.
  refresh(stale) {
    clearTimeout(this.filterTimer);
    const done = this.filter.extend(FILTER_SLICE);
    this.list.draw(Boolean(stale));
    this.counts();
    if (!done) this.filterTimer = setTimeout(() => this.refresh(false), 0);
  }

  counts() {
    const head = this.model.get("head") ?? {};
    const total = this.store.texts.length;
    const shown = this.filter.test ? `${this.filter.count.toLocaleString("en-US")} of ` : "";
    const lost = head.dropped ? ` · ${head.dropped.toLocaleString("en-US")} dropped` : "";
    this.count.textContent = `${shown}${plural(total, "line")}${lost}`;
    this.count.classList.toggle("warning", Boolean(head.dropped));
    const { following } = this.list;
    this.followButton.textContent = following ? "Following" : "▼ Follow";
    this.followButton.setAttribute("aria-pressed", String(following));
    this.followButton.title = following ? "Stay here when lines come" : "Go to the end and stay there";
    this.bar.hidden = this.list.port.hidden = total === 0;
    this.announce();
  }

  // Said to a screen reader once things have come to rest.
  announce() {
    clearTimeout(this.statusTimer);
    this.statusTimer = setTimeout(() => {
      const text = `${this.badge.textContent.slice(1)}, ${this.count.textContent}`;
      if (this.status.textContent !== text) this.status.textContent = text;
    }, ANNOUNCE);
  }

  // -- what the user does -----------------------------------------------------------------------

  search() {
    const problem = this.filter.set(
      this.query.value, this.regular.getAttribute("aria-pressed") === "true",
    );
    this.query.setAttribute("aria-invalid", String(Boolean(problem)));
    this.query.title = problem;
    this.list.lastTop = 0;
    this.refresh(true);
  }

  queryKey(event) {
    if (event.key !== "Escape") return;
    this.query.value = "";
    this.search();
    this.list.port.focus();
    event.stopPropagation();
  }

  key(event) {
    if (event.key === "/" && event.target !== this.query && !event.ctrlKey && !event.metaKey) {
      this.query.focus();
      event.preventDefault();
    }
    // The notebook's own one-letter commands are not meant here.
    if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
  }

  async copy() {
    const selection = document.getSelection();
    const text = this.list.selecting() ? String(selection) : this.filter.plain();
    const done = await toClipboard(text);
    this.copyButton.textContent = done ? "Copied" : "Cannot copy";
    setTimeout(() => (this.copyButton.textContent = "Copy"), 1200);
  }
}

// Bytes in a buffer of their own, as typed arrays need their alignment.
function aligned(view) {
  return new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page without https has no clipboard; the old way still works.
    const area = element("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function render({ model, el }) {
  const pane = new Pane(model, el);
  return () => pane.dispose();
}

export default { render };
