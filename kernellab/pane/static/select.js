// Rows chosen with the mouse: within one row it is text, over several it is whole rows, also those out of sight.

const EDGE = 40; // milliseconds between two steps while the mouse is beyond the rows

export class Mouse {
  // `onTime` is called with a row's number when its time is clicked with Shift.
  constructor(list, onTime) {
    this.list = list;
    this.onTime = onTime;
    this.down = null;
    this.stop = () => this.end();
    this.moved = (event) => this.move(event);
    list.port.addEventListener("mousedown", (event) => this.press(event));
  }

  press(event) {
    const row = event.target.closest?.(".kernellab-row");
    if (event.button !== 0 || !row || event.target.closest("button")) return;
    if (event.shiftKey) {
      event.preventDefault();
      this.list.port.focus({ preventScroll: true });
      if (event.target.closest(".time")) this.onTime(row.number);
      else this.list.choose(row.number, { extend: true, reveal: false });
      return;
    }
    this.list.choose(row.number, { reveal: false });
    this.down = row.number;
    window.addEventListener("mousemove", this.moved);
    window.addEventListener("mouseup", this.stop, { once: true });
  }

  move(event) {
    if (!event.buttons) return this.end();
    const { port } = this.list;
    const sight = port.getBoundingClientRect();
    const beyond = event.clientY < sight.top ? -1 : event.clientY > sight.bottom ? 1 : 0;
    clearInterval(this.timer);
    if (beyond) {
      this.step(beyond);
      this.timer = setInterval(() => this.step(beyond), EDGE);
      return;
    }
    const y = Math.min(Math.max(event.clientY, sight.top + 1), sight.bottom - 1);
    const under = document.elementFromPoint(sight.left + 8, y)?.closest(".kernellab-row");
    if (!under || !port.contains(under)) return;
    if (under.number === this.down && this.list.anchor === null) return; // text within the row
    this.over();
    this.list.choose(under.number, { extend: true, reveal: false });
  }

  // Several rows: no longer text.
  over() {
    document.getSelection()?.removeAllRanges();
    this.list.port.classList.add("ranging");
    this.list.anchor ??= this.down;
    this.list.follow(false);
  }

  step(rows) {
    this.over();
    this.list.step(rows, true);
  }

  end() {
    clearInterval(this.timer);
    this.down = null;
    this.list.port.classList.remove("ranging");
    window.removeEventListener("mousemove", this.moved);
    window.removeEventListener("mouseup", this.stop);
  }

  dispose() {
    this.end();
  }
}
