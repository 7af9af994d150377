// The log: tool bar and rows, from batches that the kernel numbers.
import { element, plural } from "./text.js";
import { Filter, Store } from "./store.js";
import { RowList } from "./rows.js";

const FILTER_SLICE = 25;
const ASK_AGAIN = 1500;

export class LogView {
  // `send` brings a message to the kernel; `changed` is called when the counts have changed.
  constructor({ send, changed }) {
    this.send = send;
    this.changed = changed;
    this.store = new Store();
    this.filter = new Filter(this.store);
    this.dropped = 0;
    this.tries = 0;
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
    this.el = element("div", { class: "log" }, this.bar, this.list.port);
  }

  dispose() {
    this.list.dispose();
    for (const timer of [this.askTimer, this.filterTimer]) clearTimeout(timer);
  }

  // -- from the kernel --------------------------------------------------------------------------

  message(content, buffers) {
    if (this.saved) {
      this.saved = false;
      this.store.reset(0);
      this.filter.restart();
      this.list.draw(true);
    }
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

  // What the kernel says of the log as a whole.
  head(head) {
    this.list.port.setAttribute("aria-label", `Log of ${head.title ?? "the driver"}`);
    this.dropped = head.dropped ?? 0;
    this.counts();
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
    const total = this.store.texts.length;
    const shown = this.filter.test ? `${this.filter.count.toLocaleString("en-US")} of ` : "";
    const lost = this.dropped ? ` · ${this.dropped.toLocaleString("en-US")} dropped` : "";
    this.count.textContent = `${shown}${plural(total, "line")}${lost}`;
    this.count.classList.toggle("warning", Boolean(this.dropped));
    const { following } = this.list;
    this.followButton.textContent = following ? "Following" : "▼ Follow";
    this.followButton.setAttribute("aria-pressed", String(following));
    this.followButton.title = following ? "Stay here when lines come" : "Go to the end and stay there";
    this.bar.hidden = this.list.port.hidden = total === 0;
    this.changed();
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

  // A key pressed anywhere in the pane that no control has taken; whether it is taken here.
  key(event) {
    const typing = event.target.closest("input, textarea, select");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return false;
    this.query.focus();
    return true;
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
export function aligned(view) {
  return new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

export async function toClipboard(text) {
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
