// The scrolling part: only the rows in sight are in the page.
import { element } from "./text.js";
import { Scroll } from "./scroll.js";
import { RowMaker } from "./row.js";

const OVERSCAN = 12;
const MOST_ROWS_IN_SIGHT = 18;

export class RowList {
  // `on` has follow(): following has changed; drawn(): other rows are in sight.
  constructor(store, filter, on) {
    this.store = store;
    this.filter = filter;
    this.on = on;
    this.following = true;
    this.maker = new RowMaker(store, filter);
    this.layer = element("div", { class: "kernellab-layer" });
    this.sizer = element("div", { class: "kernellab-sizer" }, this.layer);
    this.port = element("div", {
      class: "kernellab-rows", role: "listbox", "aria-multiselectable": "true", tabindex: "0",
    }, this.sizer);
    this.el = element("div", { role: "log", "aria-live": "off" }, this.port);
    this.scroll = new Scroll(this.port);
    this.shown = new Map(); // row number -> element, in order
    this.from = 0; // place of the first of them
    this.current = null; // number of the row that keys move, and its selection
    this.anchor = null;
    this.top = null; // number of the row that stays at the top of the sight; null: look again
    this.height = 0;
    this.frame = 0;
    this.stale = false;
    this.lastTop = 0;
    this.port.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.port.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.resized = new ResizeObserver(() => this.draw(true));
    this.resized.observe(this.port);
  }

  dispose() {
    this.resized.disconnect();
    cancelAnimationFrame(this.frame);
  }

  // Draw in the next frame; `stale`: rows in sight may look different now.
  draw(stale = false) {
    this.stale ||= stale;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  get atEnd() {
    const { port } = this;
    return port.scrollTop + port.clientHeight >= port.scrollHeight - 2;
  }

  scrolled() {
    if (!this.scroll.moved()) return;
    const { scrollTop } = this.port;
    const end = this.atEnd;
    if (scrollTop < this.lastTop - 1 && !end) this.follow(false);
    else if (end) this.follow(true);
    this.lastTop = scrollTop;
    this.top = null;
    this.draw();
  }

  wheel(event) {
    if (!this.scroll.own || event.ctrlKey || !event.deltaY) return;
    const unit = [1, this.scroll.row, this.port.clientHeight][event.deltaMode] ?? 1;
    const up = event.deltaY < 0;
    const stuck = up ? this.scroll.place === 0 && this.scroll.into <= 0 : this.ended;
    if (stuck) return; // the page scrolls on
    event.preventDefault();
    this.port.scrollLeft += event.deltaX;
    this.move(event.deltaY * unit);
  }

  // Scroll by pixels.
  move(pixels) {
    if (pixels < 0) this.follow(false);
    if (this.scroll.own) {
      this.scroll.by(pixels);
      this.top = null;
      this.draw();
    } else {
      this.port.scrollTop += pixels;
    }
  }

  follow(on) {
    if (this.following === on) return;
    this.following = on;
    this.on.follow(on);
    if (on) this.draw();
  }

  // -- drawing ----------------------------------------------------------------------------------

  drawNow() {
    const { scroll, filter } = this;
    scroll.count = filter.count;
    scroll.wrap = this.maker.options.wrap;
    this.port.classList.toggle("wrap", scroll.wrap);
    scroll.row = this.rowHeight();
    this.fit(scroll.count);
    const { height } = scroll;
    this.sizer.style.height = `${height}px`;
    this.keepTop();
    const end = this.following && !this.selecting();
    if (end) scroll.go(scroll.count - 1, scroll.row);
    else scroll.place = Math.max(0, Math.min(scroll.place, scroll.count - 1));
    if (scroll.wrap) this.drawWrapped(end);
    else this.drawEven(end);
    this.lastTop = this.port.scrollTop;
    if (this.following || this.top === null) {
      this.top = scroll.count ? filter.at(Math.min(scroll.place, scroll.count - 1)) : null;
    }
    this.stale = false;
    this.on.drawn();
  }

  // Other rows may pass now: the one at the top stays there, also while a search goes on.
  keepTop() {
    if (this.top === null || this.following) return;
    this.scroll.place = this.filter.placeOf(this.top);
    this.scroll.show(false);
  }

  drawEven(end) {
    const { scroll, port } = this;
    if (!scroll.own && !end && this.top === null) scroll.moved();
    scroll.by(0);
    this.ended = scroll.place * scroll.row + scroll.into >= scroll.last - 1;
    scroll.show(this.ended);
    const from = Math.max(0, scroll.place - OVERSCAN);
    const to = Math.min(scroll.count,
      scroll.place + Math.ceil((scroll.into + port.clientHeight) / scroll.row) + OVERSCAN);
    this.place(from, to);
    const top = scroll.own ? port.scrollTop - scroll.into - (scroll.place - from) * scroll.row
      : from * scroll.row;
    this.layer.style.transform = `translateY(${top}px)`;
  }

  drawWrapped(end) {
    const { scroll, port } = this;
    const room = port.clientHeight;
    const above = Math.ceil(Math.max(0, end ? room : -scroll.into) / scroll.row) + OVERSCAN;
    let from = Math.max(0, scroll.place - above);
    const to = Math.min(scroll.count,
      scroll.place + Math.ceil((Math.max(0, scroll.into) + room) / scroll.row) + OVERSCAN);
    this.place(from, to);
    const rows = [...this.layer.children].map((row) => row.offsetHeight);
    const total = rows.reduce((sum, height) => sum + height, 0);
    let top = scroll.into; // pixels of the layer above the sight
    for (let place = from; place < scroll.place; place++) top += rows[place - from];
    const most = to === scroll.count ? total - room + 4 : Infinity;
    this.ended = end || top >= most - 1;
    top = Math.max(from === 0 ? 0 : -Infinity, Math.min(this.ended ? most : top, most));
    if (total < room) top = 0;
    let into = top;
    for (const height of rows) {
      if (into < height) break;
      into -= height;
      from++;
    }
    scroll.place = Math.max(0, Math.min(from, scroll.count - 1));
    scroll.into = into;
    scroll.show(this.ended && total >= room);
    this.layer.style.transform = `translateY(${port.scrollTop - top}px)`;
  }

  rowHeight() {
    const height = parseFloat(getComputedStyle(this.port).lineHeight);
    return Math.max(8, Math.round(height) || 18);
  }

  // As tall as its rows, up to a limit, until the user drags the corner.
  fit(count) {
    const { port } = this;
    const wanted = Math.min(Math.max(count, 1), MOST_ROWS_IN_SIGHT) * this.scroll.row + 10;
    const now = parseFloat(port.style.height) || 0;
    if (this.height && Math.abs(now - this.height) > 1) return;
    if (now !== wanted) port.style.height = `${wanted}px`;
    this.height = wanted;
  }

  // Whether text within a row is selected.
  selecting() {
    const selection = document.getSelection();
    return Boolean(
      selection && !selection.isCollapsed && this.port.contains(selection.anchorNode),
    );
  }

  // Show places from..to. Elements stay with their rows, so that a selection in one survives.
  place(from, to) {
    const { layer, filter, maker } = this;
    const wanted = new Map();
    for (let place = from; place < to; place++) {
      const number = filter.at(place);
      let row = this.shown.get(number);
      if (!row || (this.stale && !maker.fresh(row, number, place))) row = maker.row(number, place);
      wanted.set(number, row);
    }
    this.port.classList.toggle("levels", maker.levels);
    for (const [number, row] of this.shown) if (wanted.get(number) !== row) row.remove();
    let next = layer.firstChild;
    for (const [number, row] of wanted) {
      if (row === next) next = next.nextSibling;
      else layer.insertBefore(row, next);
      this.mark(row, number);
    }
    this.shown = wanted;
    this.from = from;
    const current = this.shown.get(this.current);
    if (current) this.port.setAttribute("aria-activedescendant", current.id);
    else this.port.removeAttribute("aria-activedescendant");
  }

  // Wrapping has changed: the row at the top stays there.
  rewrap() {
    this.scroll.wrap = this.maker.options.wrap;
    this.scroll.into = 0;
    this.sizer.style.height = `${this.scroll.height}px`;
    this.scroll.show(false);
  }

  // -- the current row and the selection ----------------------------------------------------------

  mark(row, number) {
    const selected = this.selected(number);
    row.classList.toggle("selected", selected);
    row.classList.toggle("current", number === this.current);
    row.setAttribute("aria-selected", String(selected));
  }

  selected(number) {
    return this.anchor !== null && number >= Math.min(this.anchor, this.current)
      && number <= Math.max(this.anchor, this.current);
  }

  // Several rows that are selected: [first, last] number, or null.
  get range() {
    if (this.anchor === null || this.current === null) return null;
    return [Math.min(this.anchor, this.current), Math.max(this.anchor, this.current)];
  }

  // Make a row the current one; `extend` selects up to it.
  choose(number, { extend = false, reveal = true } = {}) {
    this.anchor = extend ? this.anchor ?? this.current ?? number : null;
    this.current = number;
    if (reveal && number !== null) this.reveal(this.filter.placeOf(number));
    this.draw();
  }

  chooseAll() {
    const { count } = this.filter;
    if (!count) return;
    this.anchor = this.filter.at(0);
    this.current = this.filter.at(count - 1);
    this.draw();
  }

  // Move the current row by so many rows.
  step(rows, extend) {
    const { filter, scroll } = this;
    if (!filter.count) return;
    const inSight = Math.min(scroll.place + (rows > 0 ? 0 : this.page), filter.count - 1);
    const at = this.current === null ? inSight - Math.sign(rows) : filter.placeOf(this.current);
    const to = Math.max(0, Math.min(at + rows, filter.count - 1));
    this.choose(filter.at(to), { extend });
    if (to === filter.count - 1 && rows > 0) this.follow(true);
  }

  get page() {
    return Math.max(1, Math.floor(this.port.clientHeight / this.scroll.row) - 1);
  }

  // Scroll so that a place is in sight.
  reveal(place, middle = false) {
    const { scroll, port } = this;
    const room = port.clientHeight;
    const el = this.shown.get(this.filter.at(place));
    const box = el?.getBoundingClientRect();
    const sight = port.getBoundingClientRect();
    if (box && box.top >= sight.top && box.bottom <= sight.top + room) {
      if (place < this.filter.count - 1) this.follow(false);
      return;
    }
    this.follow(false);
    const above = place < scroll.place || (place === scroll.place && !middle);
    const height = box?.height ?? scroll.row;
    const into = middle ? -(room - height) / 2 : above ? 0 : -(room - height - 4);
    if (scroll.own) {
      scroll.go(place, into);
    } else {
      const top = place * scroll.row + into;
      port.scrollTop = Math.max(0, top);
      scroll.moved();
    }
    this.top = null;
    this.draw();
  }
}
