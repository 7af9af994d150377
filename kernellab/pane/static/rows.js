// The scrolling part: only the rows in sight are in the page.
import { CONTINUED, KIND, element, formatTime, levelName } from "./text.js";

const ROW = 18;
const OVERSCAN = 12;
const MOST_ROWS_IN_SIGHT = 18;
const KIND_CLASS = ["", "state", "warning", "error", "warning", "error"];

export class RowList {
  constructor(store, filter, onFollow) {
    this.store = store;
    this.filter = filter;
    this.onFollow = onFollow;
    this.following = true;
    this.sizer = element("div", { class: "kernellab-sizer" });
    this.port = element("div", {
      class: "kernellab-rows",
      role: "log",
      "aria-live": "off",
      tabindex: "0",
    }, this.sizer);
    this.from = 0;
    this.lastTop = 0;
    this.height = 0;
    this.frame = 0;
    this.stale = false;
    this.port.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.port.addEventListener("keydown", (event) => this.key(event));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.port);
  }

  dispose() {
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
  }

  // Draw in the next frame; `stale`: rows in sight may have changed their text.
  draw(stale = false) {
    this.stale ||= stale;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  scrolled() {
    const { port } = this;
    const atEnd = port.scrollTop + port.clientHeight >= port.scrollHeight - ROW / 2;
    if (port.scrollTop < this.lastTop - 1 && !atEnd) this.follow(false);
    else if (atEnd) this.follow(true);
    this.lastTop = port.scrollTop;
    this.draw();
  }

  key(event) {
    // The browser scrolls by keys already; End is also "follow", wherever it lands.
    if (event.key === "End") this.follow(true);
  }

  follow(on) {
    if (this.following === on) return;
    this.following = on;
    this.onFollow(on);
    if (on) this.draw();
  }

  drawNow() {
    const { port, sizer, filter } = this;
    const count = filter.count;
    this.fit(count);
    sizer.style.height = `${count * ROW}px`;
    if (this.following && !this.selecting()) {
      const end = Math.max(0, port.scrollHeight - port.clientHeight);
      if (port.scrollTop !== end) port.scrollTop = end;
      this.lastTop = port.scrollTop;
    }
    const from = Math.max(0, Math.floor(port.scrollTop / ROW) - OVERSCAN);
    const to = Math.min(count, Math.ceil((port.scrollTop + port.clientHeight) / ROW) + OVERSCAN);
    this.place(from, Math.max(from, to));
  }

  // As tall as its rows, up to a limit, until the user drags the corner.
  fit(count) {
    const { port } = this;
    const wanted = Math.min(Math.max(count, 1), MOST_ROWS_IN_SIGHT) * ROW + 10;
    const now = parseFloat(port.style.height) || 0;
    if (this.height && Math.abs(now - this.height) > 1) return;
    if (now !== wanted) port.style.height = `${wanted}px`;
    this.height = wanted;
  }

  selecting() {
    const selection = document.getSelection();
    return Boolean(
      selection && !selection.isCollapsed && this.port.contains(selection.anchorNode),
    );
  }

  // Show places from..to. Elements stay with their rows, so that a selection survives.
  place(from, to) {
    const { sizer } = this;
    const had = { from: this.from, to: this.from + sizer.childElementCount };
    if (this.stale || from >= had.to || to <= had.from) {
      sizer.replaceChildren();
      had.from = had.to = from;
      this.stale = false;
    }
    for (; had.from < from; had.from++) sizer.firstElementChild.remove();
    for (; had.to > to; had.to--) sizer.lastElementChild.remove();
    const before = document.createDocumentFragment();
    for (let place = from; place < had.from; place++) before.append(this.row(place));
    sizer.prepend(before);
    for (let place = had.to; place < to; place++) sizer.append(this.row(place));
    this.from = from;
  }

  row(place) {
    const at = this.filter.at(place) - this.store.base;
    const meta = this.store.metas[at];
    const kind = meta & 7;
    const more = meta & CONTINUED;
    const row = element("div", { class: `kernellab-row ${KIND_CLASS[kind] ?? ""}` });
    const named = kind === KIND.PRINT && levelName(meta);
    if (named) {
      row.classList.add(["error", "warning"][(meta >>> 8) & 255] ?? "plain");
      this.port.classList.add("levels");
    }
    row.style.transform = `translateY(${place * ROW}px)`;
    row.append(
      element("span", { class: "time", text: more ? "" : formatTime(this.store.times[at]) }),
      element("span", { class: "level", text: more ? "↳" : levelName(meta) }),
      element("span", { class: "text", text: this.store.texts[at] }),
    );
    return row;
  }
}
