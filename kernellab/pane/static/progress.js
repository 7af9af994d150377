// What is under way: how far it is, for how long, and Cancel.
import { element } from "./text.js";

const SHOWN_AFTER = 0.3; // seconds: what is quicker needs no bar
const TICK = 250;

export class ProgressRow {
  // `cancel` is called when the user presses the button.
  constructor(cancel) {
    this.fill = element("div", { class: "fill" });
    this.bar = element("div", { class: "progress-bar", role: "progressbar", "aria-valuemin": "0" }, this.fill);
    this.what = element("span", { class: "what" });
    this.elapsed = element("span", { class: "elapsed" });
    this.button = element("button", {
      type: "button", text: "Cancel", class: "action",
      onclick: () => {
        if (this.button.getAttribute("aria-disabled") !== "true") cancel();
      },
    });
    this.el = element("div", { class: "under-way", hidden: "" },
      this.bar, this.what, this.elapsed, this.button);
    this.since = 0;
  }

  dispose() {
    clearInterval(this.timer);
  }

  // `progress` as kernellab/pane/progress.py has it, or null; `refused` is why Cancel does not act, or
  // null where there is no such button.
  update(state, progress, refused) {
    if (!progress) {
      clearInterval(this.timer);
      this.timer = 0;
      this.el.hidden = true;
      return;
    }
    this.since = performance.now() / 1000 - progress.seconds;
    const { done, total, what } = progress;
    this.bar.setAttribute("aria-label", state);
    if (total) {
      this.bar.setAttribute("aria-valuemax", String(total));
      this.bar.setAttribute("aria-valuenow", String(done));
    } else {
      for (const name of ["aria-valuemax", "aria-valuenow"]) this.bar.removeAttribute(name);
    }
    const count = total ? `${done} of ${total}` : "";
    this.words = [count, what].filter(Boolean).join(" · ") || state;
    this.bar.setAttribute("aria-valuetext", this.words);
    this.bar.classList.toggle("unknown", !total);
    this.fill.style.width = total ? `${(100 * done) / total}%` : "";
    this.what.textContent = this.what.title = this.words;
    this.button.hidden = refused === null;
    this.button.setAttribute("aria-disabled", String(Boolean(refused)));
    this.button.title = refused || "Stop this and end the cell, as the notebook's own ■ does";
    this.timer ||= setInterval(() => this.tick(), TICK);
    this.tick();
  }

  tick() {
    const seconds = performance.now() / 1000 - this.since;
    this.el.hidden = seconds < SHOWN_AFTER;
    this.elapsed.textContent = seconds < 1 ? "" : clock(seconds);
  }
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
