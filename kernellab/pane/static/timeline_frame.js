// What is around a trace's lanes on its canvas: axis, squeezed gaps, names.
import { element } from "./text.js";
import { traceTime } from "./timeline_data.js";

export const LANE_ROW = 16;
export const GAP_BELOW = 8;
const STEPS_HEIGHT = 46;
const TICKS_HEIGHT = 18;
export const AXIS = 22;
export const LABEL_FONT = "11px system-ui, sans-serif";
const COLOURS = ["text", "dim", "line", "ground", "focus", "call", "routine", "service", "wrong", "busy"];

// Where each lane is, from the top; the height of all.
export function layOut(lanes) {
  let top = AXIS;
  for (const lane of lanes) {
    lane.top = top;
    lane.height = { steps: STEPS_HEIGHT, ticks: TICKS_HEIGHT }[lane.draws] ?? lane.rows.length * LANE_ROW;
    top += lane.height + GAP_BELOW;
  }
  return top;
}

// The first event of a row that ends at or after a place; rows do not overlap.
export function firstAt(data, row, place) {
  let low = 0;
  let high = row.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data.to[row[middle]] < place) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class TraceFrame {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  // As the theme has them now: a canvas understands neither variables nor light-dark().
  readColours() {
    const style = getComputedStyle(this.canvas.parentElement);
    const theme = `${style.color} ${style.colorScheme} ${style.borderTopColor}`;
    if (theme === this.theme) return this.colours;
    this.theme = theme;
    const probe = element("span");
    this.canvas.after(probe);
    const colours = {};
    for (const name of COLOURS) {
      probe.style.color = `var(--kl-${name})`;
      colours[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    return colours;
  }

  x(place) {
    return this.left + (place - this.view.from) * this.scale;
  }

  // Round times; with gaps squeezed their distance is not the same everywhere.
  axis() {
    const { context: g, colours, data, view } = this;
    g.fillStyle = colours.ground;
    g.fillRect(0, 0, view.width, AXIS - 4);
    g.strokeStyle = colours.line;
    g.fillStyle = colours.dim;
    g.beginPath();
    g.moveTo(this.left, AXIS - 3.5);
    g.lineTo(view.width, AXIS - 3.5);
    let free = this.left;
    g.textAlign = "left";
    for (const time of this.roundTimes()) {
      const x = Math.round(this.x(data.place(time))) + 0.5;
      if (x < this.left) continue;
      g.moveTo(x, AXIS - 8);
      g.lineTo(x, AXIS - 3.5);
      const label = traceTime(time, true);
      const wide = g.measureText(label).width;
      if (x < free || x + wide + 4 > view.width) continue;
      g.fillText(label, x + 3, AXIS / 2 - 3);
      free = x + wide + 16;
    }
    g.stroke();
    g.fillStyle = colours.ground;
    g.fillRect(0, 0, this.left - 4, AXIS - 4);
    g.fillStyle = colours.dim;
    g.fillText("virtual time", 6, AXIS / 2 - 3);
  }

  roundTimes() {
    const { data, view } = this;
    const times = [];
    // Piece by piece between squeezed gaps: within one, places and times go together.
    const cuts = [view.from, ...data.places.filter((p) => p > view.from && p < view.to), view.to];
    for (let n = 0; n + 1 < cuts.length; n++) {
      const [begin, end] = [data.time(cuts[n]), data.time(cuts[n + 1])];
      const room = (cuts[n + 1] - cuts[n]) * this.scale;
      const middle = (begin + end) / 2;
      if (room < 60 || data.shownGaps.some(([from, to]) => middle > from && middle < to)) continue;
      const raw = ((end - begin) / room) * 110;
      const power = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].find((each) => each * power >= raw) * power;
      for (let time = Math.ceil(begin / step) * step; time <= end && times.length < 200; time += step) times.push(time);
    }
    return times;
  }

  gaps() {
    const { context: g, colours, data, view } = this;
    g.textAlign = "center";
    for (const [begin, end] of data.shownGaps) {
      const [x1, x2] = [this.x(data.place(begin)), this.x(data.place(end))];
      if (x2 < this.left || x1 > view.width) continue;
      const from = Math.max(x1, this.left);
      g.save();
      g.beginPath();
      g.rect(from, AXIS, x2 - from, view.height);
      g.clip();
      g.strokeStyle = colours.line;
      g.globalAlpha = 0.45;
      g.beginPath();
      for (let x = x1 - view.height; x < x2; x += 7) {
        g.moveTo(x, view.height + AXIS);
        g.lineTo(x + view.height, AXIS);
      }
      g.stroke();
      g.restore();
    }
  }

  label(lane, top) {
    const { context: g, colours } = this;
    g.fillStyle = colours.ground;
    g.fillRect(0, top - GAP_BELOW / 2, this.left - 4, lane.height + GAP_BELOW);
    g.fillStyle = colours.text;
    g.textAlign = "left";
    this.text(lane.label, 6, top + LANE_ROW / 2, this.left - 14);
    if (lane.process && lane.height >= 2 * LANE_ROW) {
      g.fillStyle = colours.dim;
      this.text(lane.process, 6, top + LANE_ROW * 1.5, this.left - 14);
    }
  }

  // Text that is cut off where there is no room.
  text(text, x, y, room) {
    const g = this.context;
    if (room < 12) return;
    if (g.measureText(text).width > room) {
      let [low, high] = [0, Math.min(text.length, 120)];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (g.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
        else high = middle - 1;
      }
      if (!low) return;
      text = `${text.slice(0, low)}…`;
    }
    g.fillText(text, x, y);
  }
}
