// The mouse on the timeline: what is under it, moving and zooming, and a tip.
import { element } from "./text.js";
import { AXIS, LANE_ROW, firstAt } from "./timeline_frame.js";

export const LABELS = 150; // pixels of the lanes' names
export const ZOOM = 1.25;
const NEAR = 4; // pixels that a pointer may be beside what it means
const CLICK = 4;

export class TimelinePointer {
  constructor(timeline) {
    this.timeline = timeline;
    this.drag = null;
  }

  at(event) {
    const box = this.timeline.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  // The event under the pointer, -1 for none; what is narrow is found nearby.
  find({ x, y }) {
    const { data, view } = this.timeline;
    if (!data || x < LABELS || y < AXIS) return -1;
    const lane = data.lanes.find((l) => y + view.scroll >= l.top && y + view.scroll < l.top + l.height);
    if (!lane) return -1;
    const number = lane.draws === "spans" || lane.draws === "bars" ? Math.floor((y + view.scroll - lane.top) / LANE_ROW) : 0;
    const row = lane.rows[number] ?? [];
    const near = this.timeline.placeAt(x + NEAR) - this.timeline.placeAt(x);
    const place = this.timeline.placeAt(x);
    if (lane.draws === "bars") {
      const bar = row.find((b) => data.place(b.begin) <= place + near && data.place(b.end) >= place - near);
      return bar ? bar.first : -1;
    }
    if (lane.draws === "steps") {
      const at = firstAt(data, row, place);
      return row[at < row.length && data.from[row[at]] <= place ? at : at - 1] ?? -1;
    }
    let best = -1;
    let distance = near;
    for (let at = firstAt(data, row, place - near); at < row.length && data.from[row[at]] <= place + near; at++) {
      const i = row[at];
      const away = Math.max(data.from[i] - place, place - data.to[i], 0);
      if (away < distance || (best < 0 && away <= distance)) [best, distance] = [i, away];
    }
    return best;
  }

  wheel(event) {
    if (!this.timeline.data) return;
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    // Unless the timeline is what the user works in, the wheel scrolls the page.
    if (!sideways && !event.ctrlKey && !event.metaKey && document.activeElement !== this.timeline.canvas) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : 1;
    if (sideways) this.timeline.pan((event.deltaX || event.deltaY) * unit);
    else this.timeline.zoom(ZOOM ** (Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY) * unit, 100) / 60), this.at(event).x);
  }

  down(event) {
    if (event.button !== 0 || !this.timeline.data) return;
    this.timeline.canvas.focus({ preventScroll: true });
    this.timeline.canvas.setPointerCapture(event.pointerId);
    this.drag = { ...this.at(event), moved: 0 };
    this.hideTip();
  }

  move(event) {
    const at = this.at(event);
    if (!this.drag) {
      this.hover(at);
      return;
    }
    this.drag.moved += Math.abs(at.x - this.drag.x) + Math.abs(at.y - this.drag.y);
    if (this.drag.moved > CLICK) {
      this.timeline.pan(this.drag.x - at.x);
      this.timeline.scroll(this.drag.y - at.y);
    }
    Object.assign(this.drag, at);
  }

  up(event) {
    const clicked = this.drag && this.drag.moved <= CLICK;
    this.release();
    if (!clicked) return;
    const i = this.find(this.at(event));
    this.timeline.select(i);
    if (i >= 0 && event.detail < 2) this.timeline.jump(i);
  }

  release() {
    this.drag = null;
  }

  hover(at) {
    const { canvas, data, port, tip } = this.timeline;
    const i = this.find(at);
    canvas.style.cursor = i >= 0 && data.placeOf(i) ? "pointer" : "";
    if (i < 0) {
      this.hideTip();
      return;
    }
    const [name, ...rest] = data.about(i);
    const hint = data.placeOf(i) ? [element("div", { class: "dim", text: "click: go to the line" })] : [];
    tip.replaceChildren(element("strong", { text: name }), ...rest.map((text) => element("div", { text })), ...hint);
    tip.hidden = false;
    const { clientWidth: width, clientHeight: height } = port;
    tip.style.left = `${Math.max(0, Math.min(at.x + 12, width - tip.offsetWidth - 4))}px`;
    const above = at.y + 18 + tip.offsetHeight > height && at.y > tip.offsetHeight + 12;
    tip.style.top = `${above ? at.y - tip.offsetHeight - 8 : at.y + 18}px`;
  }

  hideTip() {
    this.timeline.tip.hidden = true;
  }
}
