// The tab "Timeline": what the kernel did in virtual time. Talks with kernellab/trace/tab.py.
import { element, plural } from "./text.js";
import { reveal } from "./cells.js";
import { TABS } from "./tabs.js";
import { TraceData, traceTime } from "./timeline_data.js";
import { AXIS, LANE_ROW, firstAt, layOut } from "./timeline_frame.js";
import { TraceDrawing } from "./timeline_draw.js";
import { LABELS, TimelinePointer, ZOOM } from "./timeline_pointer.js";

const TALLEST = 520;
const PAN = 0.15;
const SHORTEST = 4; // units of 100 ns in the whole width
const TABLE = 50;

class Timeline {
  constructor(host) {
    this.host = host;
    this.view = { marks: null, selected: -1, scroll: 0, labels: LABELS };
    this.pointer = new TimelinePointer(this);
    this.build();
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(this.port);
  }

  build() {
    const button = (text, title, onclick) => element("button", { type: "button", text, title, "aria-label": title, onclick });
    this.query = element("input", {
      type: "search", placeholder: "Find a name", "aria-label": "Find a name in the timeline", spellcheck: "false",
      oninput: () => this.search(), onkeydown: (e) => this.queryKey(e),
    });
    this.squeeze = element("button", {
      type: "button", class: "toggle", text: "Squeeze idle", "aria-pressed": "false",
      title: "Draw time in which nothing runs short (hatched)",
      onclick: () => this.toggleSqueeze(),
    });
    this.saveButton = button("Save Perfetto JSON", "Save the trace as JSON, for ui.perfetto.dev or chrome://tracing",
      () => this.save());
    this.count = element("span", { class: "count" });
    this.bar = element("div", { class: "bar", role: "toolbar", "aria-label": "Timeline" },
      button("+", "Zoom in (+)", () => this.zoom(1 / ZOOM ** 2)),
      button("−", "Zoom out (−)", () => this.zoom(ZOOM ** 2)),
      button("Fit", "Show all (0)", () => this.fit()),
      this.squeeze, this.query, this.saveButton, this.count);
    this.canvas = element("canvas", {
      tabindex: "0", role: "application", "aria-roledescription": "timeline",
      "aria-label": "Timeline: plus and minus zoom, 0 shows all, arrows move, full stop and comma go from one event"
        + " to the next, Enter goes to its line. A table with the longest follows.",
      onkeydown: (e) => this.key(e), onwheel: (e) => this.pointer.wheel(e), onpointerdown: (e) => this.pointer.down(e),
      onpointermove: (e) => this.pointer.move(e), onpointerup: (e) => this.pointer.up(e), onpointercancel: () => this.pointer.release(),
      onpointerleave: () => this.pointer.hideTip(), ondblclick: (e) => this.zoom(1 / ZOOM ** 3, this.pointer.at(e).x),
    });
    this.drawing = new TraceDrawing(this.canvas);
    this.tip = element("div", { class: "timeline-tip", role: "tooltip" });
    this.tip.hidden = true;
    this.port = element("div", { class: "timeline-port" }, this.canvas, this.tip);
    this.about = element("div", { class: "timeline-about", role: "status" });
    this.table = element("div", { class: "status" });
    this.el = element("div", { class: "timeline" }, this.bar, this.port, this.about, this.table);
    this.say("");
  }

  dispose() {
    this.sizes.disconnect();
    cancelAnimationFrame(this.frame);
    for (const url of this.urls ?? []) URL.revokeObjectURL(url);
  }

  // -- the kernel -------------------------------------------------------------------------------

  shown() {
    if (!this.data) this.ask();
    this.redraw();
  }

  changed() {
    this.ask();
  }

  ask() {
    this.count.textContent = "reading the trace …";
    this.host.send({ action: "read" });
  }

  save() {
    this.saveButton.setAttribute("aria-disabled", "true");
    this.wanted = true;
    this.host.send({ action: "json" });
  }

  message(content, buffers) {
    if (content.action === "events") this.take(content, buffers);
    else if (content.action === "json") this.download(content, buffers);
    else if (content.action === "failed") {
      this.count.textContent = content.message;
      this.saveButton.removeAttribute("aria-disabled");
    }
  }

  // The file comes to every view of the pane: only the one that asked saves it.
  download(content, buffers) {
    this.saveButton.removeAttribute("aria-disabled");
    if (!this.wanted) return;
    this.wanted = false;
    const url = URL.createObjectURL(new Blob([buffers[0]], { type: "application/json" }));
    (this.urls ??= []).push(url);
    const link = element("a", { href: url, download: content.file });
    this.el.append(link);
    link.click();
    link.remove();
    this.say(`saved ${content.file}: open it at ui.perfetto.dev`);
  }

  take(head, buffers) {
    const before = this.data;
    this.data = new TraceData(head, buffers);
    if (before) this.data.warp(before.squeezed);
    this.squeeze.setAttribute("aria-pressed", String(this.data.squeezed));
    this.squeeze.hidden = this.data.gaps.length === 0;
    this.height = layOut(this.data.lanes);
    this.view.selected = -1;
    this.found = [];
    const dropped = head.dropped ? `, ${head.dropped.toLocaleString("en-US")} older ones dropped` : "";
    this.total = `${plural(head.count, "event")}${dropped}`;
    this.count.classList.toggle("warning", Boolean(head.dropped));
    this.fillTable();
    this.search();
    const whole = !before || (this.view.from <= before.first && this.view.to >= before.last);
    if (whole) this.fit();
    else this.look(this.view.from, this.view.to);
  }

  // -- what is in sight -------------------------------------------------------------------------

  fit() {
    if (!this.data) return;
    const { first, last } = this.data;
    const edge = (last - first) * 0.01;
    this.look(first - edge, last + edge);
  }

  look(from, to) {
    const { first, last } = this.data;
    const span = Math.min(Math.max(to - from, SHORTEST), (last - first) * 1.04);
    const edge = span * 0.02;
    const begin = Math.min(Math.max(from, first - edge), last + edge - span);
    this.view.from = begin;
    this.view.to = begin + span;
    this.redraw();
  }

  // `x` stays where it is: the pointer, or the middle.
  zoom(factor, x = LABELS + (this.canvas.clientWidth - LABELS) / 2) {
    if (!this.data) return;
    const { from, to } = this.view;
    const place = this.placeAt(Math.max(x, LABELS));
    const span = Math.max((to - from) * factor, SHORTEST);
    const part = (place - from) / (to - from);
    this.look(place - part * span, place - part * span + span);
  }

  pan(pixels) {
    if (!this.data) return;
    const { from, to } = this.view;
    const by = (pixels / (this.canvas.clientWidth - LABELS)) * (to - from);
    this.look(from + by, to + by);
  }

  scroll(pixels) {
    const most = Math.max(0, (this.height ?? 0) - this.canvas.clientHeight);
    this.view.scroll = Math.min(Math.max(this.view.scroll + pixels, 0), most);
    this.redraw();
  }

  placeAt(x) {
    const { from, to } = this.view;
    return from + ((x - LABELS) / (this.canvas.clientWidth - LABELS)) * (to - from);
  }

  redraw() {
    if (this.frame || !this.data) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const width = this.port.clientWidth;
      if (!width) return;
      const height = Math.min(this.height, TALLEST);
      this.canvas.style.height = `${height}px`;
      this.view.scroll = Math.min(this.view.scroll, Math.max(0, this.height - height));
      this.drawing.draw(this.data, { ...this.view, width, height });
    });
  }

  toggleSqueeze() {
    if (!this.data) return;
    const [begin, end] = [this.data.time(this.view.from), this.data.time(this.view.to)];
    this.data.warp(!this.data.squeezed);
    this.squeeze.setAttribute("aria-pressed", String(this.data.squeezed));
    this.look(this.data.place(begin), this.data.place(end));
  }

  // -- what is chosen ---------------------------------------------------------------------------

  select(i) {
    this.view.selected = i;
    this.say(i < 0 ? "" : this.data.about(i).join(" · "));
    this.redraw();
  }

  say(text) {
    this.about.textContent = text
      || "Drag moves, the wheel zooms once the timeline has been clicked (or with Ctrl), + − 0 and arrows do the same.";
  }

  jump(i) {
    const place = this.data.placeOf(i);
    if (!place) return;
    const file = place.file === "cell" ? null : place.file;
    if (!reveal(this.host.root, { driver: this.host.head().title, file, line: place.line })) {
      this.say(`${this.data.about(i).join(" · ")} (its line cannot be shown here)`);
    }
  }

  // Brings an event into sight, and chooses it.
  goTo(i) {
    const { data, view } = this;
    const span = view.to - view.from;
    const wide = Math.min(Math.max((data.to[i] - data.from[i]) * 4, SHORTEST * 10), span);
    if (data.from[i] < view.from || data.to[i] > view.to || data.to[i] - data.from[i] < span / 200) {
      const middle = (data.from[i] + data.to[i]) / 2;
      this.look(middle - wide / 2, middle + wide / 2);
    }
    const lane = data.lanes.find((each) => each.draws === "spans" && each.rows.some((row) => inRow(data, row, i)));
    if (lane && (lane.top < view.scroll + AXIS || lane.top + lane.height > view.scroll + this.canvas.clientHeight)) {
      view.scroll = 0;
      this.scroll(lane.top - AXIS - 8);
    }
    this.select(i);
  }

  // From one event of what is drawn to the next; of what was found where something was.
  step(direction) {
    const { data, view } = this;
    if (!data?.count) return;
    if (this.found.length) {
      this.match = (this.match + direction + this.found.length) % this.found.length;
      this.goTo(this.found[this.match]);
      return;
    }
    const middle = data.time(Math.max(view.from, data.first));
    let i = view.selected >= 0 ? view.selected + direction : data.begin.findIndex((begin) => begin >= middle);
    while (i >= 0 && i < data.count && data.kind[i] > 3) i += direction;
    if (i >= 0 && i < data.count) this.goTo(i);
  }

  search() {
    if (!this.data) return;
    const { marks, found } = this.data.search(this.query.value);
    this.view.marks = marks;
    this.found = found;
    this.match = -1;
    this.count.textContent = marks ? `${plural(found.length, "match").replace("matchs", "matches")} of ${this.total}` : this.total;
    this.redraw();
  }

  queryKey(event) {
    if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") {
      this.query.value = "";
      this.search();
      this.canvas.focus();
    } else return;
    event.preventDefault();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.data) return;
    const width = this.canvas.clientWidth - LABELS;
    const action = {
      "+": () => this.zoom(1 / ZOOM), "=": () => this.zoom(1 / ZOOM), "-": () => this.zoom(ZOOM), 0: () => this.fit(),
      ArrowLeft: () => this.pan(-PAN * width), ArrowRight: () => this.pan(PAN * width),
      ArrowUp: () => this.scroll(-3 * LANE_ROW), ArrowDown: () => this.scroll(3 * LANE_ROW),
      ".": () => this.step(1), ",": () => this.step(-1), "/": () => this.query.focus(),
      Home: () => this.look(this.data.first, this.data.first + this.view.to - this.view.from),
      End: () => this.look(this.data.last - this.view.to + this.view.from, this.data.last),
      Enter: () => this.view.selected >= 0 && this.jump(this.view.selected),
      Escape: () => this.select(-1),
    }[event.key];
    if (!action) return;
    action();
    event.preventDefault();
  }

  // What a screen reader has instead of the picture.
  fillTable() {
    const { data } = this;
    const cells = (tag, texts) => element("tr", {}, ...texts.map((text) => element(tag, { text })));
    const rows = data.longest(TABLE).map((i) => {
      const place = data.placeOf(i);
      return cells("td", [
        data.nameOf(i), traceTime(data.begin[i], true), traceTime(data.length[i], true),
        data.head.tracks[data.track[i]][0], place ? `${place.file}:${place.line}` : "",
      ]);
    });
    const head = cells("th", ["Name", "Begin", "Duration", "Ran on", "Line"]);
    this.table.replaceChildren(element("table", {}, element("caption", { text: "The longest spans" }), head, ...rows));
  }
}

function inRow(data, row, i) {
  const at = firstAt(data, row, data.from[i]);
  for (let n = at; n < row.length && data.from[row[n]] <= data.from[i]; n++) if (row[n] === i) return true;
  return false;
}

TABS.set("timeline", { label: "Timeline", make: (host) => new Timeline(host) });
