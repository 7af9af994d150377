// Drawing a trace on a canvas: only what is in sight, and what is denser than pixels as one.
import { TRACE, irqlName } from "./timeline_data.js";
import { AXIS, GAP_BELOW, LABEL_FONT, LANE_ROW, TraceFrame, firstAt } from "./timeline_frame.js";

const NARROW = 3;

export class TraceDrawing extends TraceFrame {
  // `view` has from and to (places), width, height, labels (their width), marks, selected.
  draw(data, view) {
    const { context: g } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, view.width, view.height);
    g.font = LABEL_FONT;
    g.textBaseline = "middle";
    this.colours = this.readColours();
    this.data = data;
    this.view = view;
    this.left = view.labels;
    this.scale = (view.width - this.left) / (view.to - view.from);
    this.gaps();
    for (const lane of data.lanes) {
      if (lane.top - view.scroll > view.height || lane.top + lane.height < view.scroll) continue;
      this.lane(lane, lane.top - view.scroll);
    }
    this.axis();
  }

  // -- lanes ------------------------------------------------------------------------------------

  lane(lane, top) {
    const { context: g, colours, view } = this;
    g.strokeStyle = colours.line;
    g.globalAlpha = 0.5;
    g.beginPath();
    g.moveTo(0, Math.round(top + lane.height + GAP_BELOW / 2) + 0.5);
    g.lineTo(view.width, Math.round(top + lane.height + GAP_BELOW / 2) + 0.5);
    g.stroke();
    g.globalAlpha = 1;
    g.save();
    g.beginPath();
    g.rect(this.left, AXIS - 4, view.width - this.left, view.height);
    g.clip();
    if (lane.draws === "steps") this.steps(lane, top);
    else if (lane.draws === "ticks") this.ticks(lane.rows[0], top);
    else if (lane.draws === "bars") lane.rows.forEach((row, n) => this.bars(row, top + n * LANE_ROW));
    else lane.rows.forEach((row, n) => this.spans(row, top + n * LANE_ROW));
    g.restore();
    this.label(lane, top);
  }

  // The IRQL as a line. The levels that occur have a height each, and their names.
  steps(lane, top) {
    const { context: g, colours, data, view } = this;
    const row = lane.rows[0];
    lane.levels ??= [...new Set([0, ...Array.from(row, (i) => data.value[i])])].sort((a, b) => a - b);
    const y = (level) => {
      const step = lane.levels.indexOf(level) / Math.max(1, lane.levels.length - 1);
      return Math.round(top + lane.height - 6 - step * (lane.height - 12)) + 0.5;
    };
    g.strokeStyle = colours.line;
    g.beginPath();
    for (const level of lane.levels) {
      g.moveTo(this.left, y(level));
      g.lineTo(view.width, y(level));
    }
    g.stroke();
    let at = firstAt(data, row, view.from) - 1;
    let level = at >= 0 ? data.value[row[at]] : 0;
    g.strokeStyle = colours.text;
    g.lineWidth = 1.6;
    g.beginPath();
    g.moveTo(this.left, y(level));
    let pixel = -1;
    let [low, high] = [level, level];
    const dense = [];
    let changes = 0;
    const flush = (x) => {
      // Several changes within a pixel: from the lowest to the highest, paler.
      if (changes > 2) dense.push([x, y(high), y(low)]);
      if (changes > 2) g.moveTo(x, y(level));
      else g.lineTo(x, y(level));
    };
    for (at += 1; at < row.length && data.from[row[at]] <= view.to; at++) {
      const x = Math.floor(this.x(data.from[row[at]])) + 0.5;
      if (x !== pixel) {
        if (pixel >= 0) flush(pixel);
        g.lineTo(x, y(level));
        pixel = x;
        changes = 0;
        low = high = level;
      }
      changes += 1;
      level = data.value[row[at]];
      low = Math.min(low, level);
      high = Math.max(high, level);
    }
    if (pixel >= 0) flush(pixel);
    g.lineTo(view.width, y(level));
    g.stroke();
    g.lineWidth = 1;
    g.fillStyle = colours.dim;
    g.globalAlpha = 0.45;
    for (const [x, upper, lower] of dense) g.fillRect(x - 0.5, upper, 1, Math.max(lower - upper, 1));
    g.globalAlpha = 1;
    g.textAlign = "right";
    for (const each of lane.levels) {
      const wide = g.measureText(irqlName(each)).width;
      g.fillStyle = colours.ground;
      g.fillRect(view.width - wide - 7, y(each) - 12, wide + 6, 11);
      g.fillStyle = colours.dim;
      g.fillText(irqlName(each), view.width - 4, y(each) - 6);
    }
  }

  ticks(row, top) {
    const { context: g, colours, data, view } = this;
    let last = -9;
    let free = -1;
    g.textAlign = "left";
    for (let at = firstAt(data, row, view.from); at < row.length; at++) {
      const i = row[at];
      if (data.from[i] > view.to) break;
      const x = Math.round(this.x(data.from[i])) + 0.5;
      const wrong = data.kind[i] === TRACE.BUGCHECK || data.kind[i] === TRACE.VIOLATION;
      if (x - last < 1 && !wrong) continue;
      const dim = view.marks && !view.marks[data.name[i]];
      g.globalAlpha = dim ? 0.25 : 1;
      g.strokeStyle = g.fillStyle = wrong ? colours.wrong : colours.text;
      g.beginPath();
      if (wrong) {
        // A cross, so that it is told apart without colour.
        g.moveTo(x - 5, top + 2);
        g.lineTo(x + 5, top + 12);
        g.moveTo(x + 5, top + 2);
        g.lineTo(x - 5, top + 12);
      } else {
        g.moveTo(x, top);
        g.lineTo(x, top + 14);
      }
      g.lineWidth = wrong || i === view.selected ? 2.5 : 1;
      g.stroke();
      g.lineWidth = 1;
      last = x;
      const next = row[at + 1];
      const room = (next === undefined ? view.width : this.x(data.from[next])) - x - 8;
      if (x > free && room > 40) {
        this.text(data.nameOf(i), x + (wrong ? 8 : 4), top + 8, Math.min(room, 240));
        free = x + 30;
      }
    }
    g.globalAlpha = 1;
  }

  spans(row, top) {
    const { data, view } = this;
    let until = -1; // narrow ones up to here are one box
    let begun = -1;
    let kind = 0;
    let marked = false;
    const flush = () => {
      if (begun >= 0) this.box(begun, until, top, kind, marked);
      begun = -1;
    };
    for (let at = firstAt(data, row, view.from); at < row.length; at++) {
      const i = row[at];
      if (data.from[i] > view.to) break;
      const [x1, x2] = [this.x(data.from[i]), this.x(data.to[i])];
      const lit = !view.marks || view.marks[data.name[i]];
      if (x2 - x1 >= NARROW || i === view.selected) {
        flush();
        this.span(i, x1, Math.max(x2, x1 + NARROW), top, lit);
        continue;
      }
      if (begun < 0 || x1 - until > 1) {
        flush();
        begun = Math.max(x1, this.left - 1);
        marked = false;
        kind = data.kind[i];
      }
      marked ||= lit;
      until = Math.max(x2, x1 + 1);
    }
    flush();
  }

  fill(kind) {
    const { colours } = this;
    return { [TRACE.CALL]: colours.call, [TRACE.ROUTINE]: colours.routine, [TRACE.RUN]: colours.busy }[kind] ?? colours.service;
  }

  box(x1, x2, top, kind, lit) {
    const g = this.context;
    g.globalAlpha = lit ? 0.75 : 0.15;
    g.fillStyle = this.fill(kind);
    g.fillRect(x1, top + 1, Math.max(x2 - x1, 1), LANE_ROW - 2);
    g.globalAlpha = 1;
  }

  span(i, x1, x2, top, lit) {
    const { context: g, colours, data, view } = this;
    const from = Math.max(x1, this.left - 2);
    const wide = Math.min(x2, view.width + 2) - from;
    g.globalAlpha = lit ? 1 : 0.2;
    g.fillStyle = this.fill(data.kind[i]);
    g.fillRect(from, top + 1, wide, LANE_ROW - 2);
    if (data.kind[i] === TRACE.SERVICE || i === view.selected || (view.marks && lit)) {
      g.strokeStyle = i === view.selected ? colours.focus : colours.text;
      g.lineWidth = i === view.selected ? 2.5 : 1;
      g.strokeRect(from + 0.5, top + 1.5, wide - 1, LANE_ROW - 3);
      g.lineWidth = 1;
    } else if (wide > 4) {
      // Neighbours are told apart.
      g.fillStyle = colours.ground;
      g.fillRect(x2 - 1, top + 1, 1, LANE_ROW - 2);
    }
    if (data.kind[i] === TRACE.ROUTINE && wide > 6) {
      // A driver's own routine has an edge, so that it is told apart without colour.
      g.fillStyle = colours.text;
      g.fillRect(x1, top + 1, 2, LANE_ROW - 2);
    }
    g.fillStyle = colours.text;
    g.textAlign = "left";
    this.text(data.nameOf(i), from + 4, top + LANE_ROW / 2 + 0.5, wide - 8);
    g.globalAlpha = 1;
  }

  // Requests: a bar with an arrow where it was completed.
  bars(row, top) {
    const { context: g, colours, data, view } = this;
    const places = (bar) => [this.x(data.place(bar.begin)), this.x(data.place(bar.end))];
    let last = -9;
    for (const bar of row) {
      const [x1, x2] = places(bar);
      if (x2 < this.left || x1 > view.width || x2 - last < 1) continue;
      last = x2;
      const lit = !view.marks || view.marks[data.name[bar.first]];
      g.globalAlpha = lit ? 1 : 0.2;
      g.strokeStyle = bar.first === view.selected ? colours.focus : colours.text;
      g.fillStyle = colours.text;
      g.beginPath();
      g.moveTo(Math.max(x1, this.left - 1) + 0.5, top + 3);
      g.lineTo(Math.max(x1, this.left - 1) + 0.5, top + LANE_ROW - 3);
      g.moveTo(Math.max(x1, this.left - 1), top + LANE_ROW / 2 + 0.5);
      g.lineTo(Math.min(x2, view.width + 1), top + LANE_ROW / 2 + 0.5);
      if (bar.last >= 0 && x2 - x1 > 6) {
        g.moveTo(x2 - 5, top + 4.5);
        g.lineTo(x2, top + LANE_ROW / 2 + 0.5);
        g.lineTo(x2 - 5, top + LANE_ROW - 3.5);
      }
      g.stroke();
      const name = data.nameOf(bar.first);
      const room = Math.min(x2, view.width) - Math.max(x1, this.left) - 20;
      if (room > 30) {
        const wide = Math.min(g.measureText(name).width + 8, room);
        const at = Math.max(x1, this.left) + 6;
        g.fillStyle = colours.ground;
        g.fillRect(at, top + 1, wide, LANE_ROW - 2);
        g.fillStyle = colours.text;
        this.text(name, at + 4, top + LANE_ROW / 2, wide - 6);
      }
      g.globalAlpha = 1;
    }
  }
}
