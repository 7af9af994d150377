// The log: tool bar and rows, from batches that the kernel numbers.
import { compact, element, grouped, plural } from "./text.js";
import { reveal } from "./cells.js";
import { Store } from "./store.js";
import { Filter } from "./filter.js";
import { RowList } from "./rows.js";
import { Mouse } from "./select.js";
import { Criteria } from "./criteria.js";
import { LogMenus } from "./logmenus.js";
import { LogKeys } from "./logkeys.js";
import { plainLines, toClipboard } from "./export.js";
import { Patterns } from "./patterns.js";

const FILTER_SLICE = 10; // milliseconds
const BRIEF = 22; // characters of the count that fit into a narrow pane's bar
const REDRAW = 80; // between two drawings while a search goes on
const STREAM = 120; // between two drawings while lines stream in: a frame that is drawn costs more than they do
const ASK_AGAIN = 1500;

export class LogView {
  // `send` brings a message to the kernel; `changed` is called when the counts have changed.
  constructor({ send, changed }) {
    this.send = send;
    this.changed = changed;
    this.store = new Store();
    this.filter = new Filter(this.store); // the rows shown
    this.matches = new Filter(this.store); // of these, where the text is found
    this.dropped = 0;
    this.missed = 0; // number of the first row that the user may not have seen
    this.tries = 0;
    this.problem = "";
    this.slow = null; // an expression that took too long, and what is said of it
    this.patterns = new Patterns({
      arrived: () => this.refresh(false), marked: () => this.menus.redraw(), slow: (seconds) => this.tooSlow(seconds),
    });
    this.list = new RowList(this.store, this.filter, {
      follow: () => this.counts(), drawn: () => this.drawn(),
    });
    this.list.maker.go = (driver, file, line) => this.goTo(driver, file, line);
    this.criteria = new Criteria(this.store, {
      changed: () => this.search(), selectedTimes: () => this.selectedTimes(),
    });
    this.mouse = new Mouse(this.list, (number) => this.criteria.pick(this.store.time(number)));
    this.menus = new LogMenus(this);
    this.keys = new LogKeys(this);
    this.build();
    this.criteria.drawChips();
    this.search();
  }

  build() {
    const { criteria, menus } = this;
    this.query = element("input", {
      type: "search", "aria-label": "Filter the log by text", spellcheck: "false",
      oninput: () => this.type(), onkeydown: (event) => this.keys.query(event),
    });
    const toggle = (text, field, label, title) => {
      const button = element("button", {
        type: "button", class: "toggle", text, title, "aria-label": label, "aria-pressed": "false",
        onclick: () => {
          criteria[field] = !criteria[field];
          button.setAttribute("aria-pressed", String(criteria[field]));
          this.search();
        },
      });
      return button;
    };
    this.findButton = toggle("Find", "find", "Find without hiding lines",
      "Find: mark what matches and hide nothing");
    this.step = element("span", { class: "joined steps" },
      this.stepButton("▲", -1, "Previous match (Shift+Enter)"), this.stepButton("▼", 1, "Next match (Enter)"));
    this.followButton = element("button", {
      type: "button", class: "toggle follow", onclick: () => this.list.follow(!this.list.following),
    });
    this.copyButton = element("button", {
      type: "button", text: "Copy", title: "Copy the lines shown, or what is selected",
      onclick: () => this.copy(),
    });
    // A narrow pane shows the second one, where the first would not fit.
    this.count = element("span", { class: "count" }, element("span", { class: "full" }), element("span", { class: "short" }));
    this.bar = element("div", { class: "bar", role: "toolbar", "aria-label": "Log" },
      element("span", { class: "joined search" }, this.query,
        toggle("Aa", "sensitive", "Match case", "Match case"),
        toggle(".*", "regular", "Regular expression", "Regular expression"), this.findButton),
      this.step, criteria.popup.el, menus.look.el, this.followButton, this.copyButton,
      menus.save.el, menus.help.el, this.count);
    this.wrong = element("div", { class: "wrong", role: "alert", hidden: "" });
    this.below = element("button", { type: "button", class: "below", hidden: "", onclick: () => this.list.follow(true) });
    this.body = element("div", { class: "log-body" }, this.list.el, this.below);
    this.el = element("div", { class: "log" }, this.bar, this.wrong, criteria.chips, this.body);
  }

  stepButton(text, by, title) {
    return element("button", { type: "button", text, title, "aria-label": title, onclick: () => this.next(by) });
  }

  dispose() {
    this.list.dispose();
    this.mouse.dispose();
    this.menus.dispose();
    this.criteria.popup.dispose();
    this.patterns.dispose();
    this.copying = null;
    for (const timer of [this.askTimer, this.filterTimer, this.sayTimer]) clearTimeout(timer);
  }

  // -- from the kernel --------------------------------------------------------------------------

  message(content, buffers) {
    if (this.saved) {
      this.saved = false;
      this.store.reset(0);
      this.restart();
      this.list.draw(true);
    }
    if (Array.isArray(content.drivers)) this.names(content.drivers, content.components);
    const [times, metas, text, origins] = buffers.map((b) => aligned(b));
    const count = times.byteLength / 8;
    const texts = count ? new TextDecoder().decode(text).split("\n") : [];
    const outcome = this.store.apply(
      content.first, content.base, new Float64Array(times.buffer), new Uint32Array(metas.buffer), texts,
      origins ? new Uint32Array(origins.buffer) : new Uint32Array(count),
    );
    if (outcome === "gap") {
      this.ask(this.store.end);
      return;
    }
    if (this.store.end >= content.total) this.answered();
    if (outcome) this.restart();
    const early = (this.drawnAt ?? -STREAM) + STREAM - performance.now();
    if (outcome || early <= 0) this.refresh(outcome);
    else this.soon(early);
  }

  // Refresh after so many milliseconds, if nothing does so before.
  soon(milliseconds) {
    clearTimeout(this.filterTimer);
    this.filterTimer = setTimeout(() => this.refresh(false), milliseconds);
  }

  names(drivers, components) {
    const { store } = this;
    if (drivers.length > 1 && store.drivers.length < 2 && drivers.filter(Boolean).length > 1) this.menus.showDrivers();
    store.drivers.splice(0, Infinity, ...drivers.map(String));
    Object.assign(store.components, components);
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
  restore({ rows = [], head = 0, omitted = 0, drivers = [], components = {} }) {
    const gap = omitted ? [[`${plural(omitted, "line")} not kept in the notebook`, 0, 4, 0, 0]] : [];
    const all = [...rows.slice(0, head), ...gap, ...rows.slice(head)];
    this.saved = all.length > 0;
    this.names(drivers, components);
    this.store.apply(0, 0, Float64Array.from(all, (r) => r[1]),
      Uint32Array.from(all, (r) => (r[2] | (r[3] << 8) | (r[4] << 16)) >>> 0), all.map((r) => String(r[0])),
      Uint32Array.from(all, (r) => r[5] ?? 0));
    this.restart();
    this.refresh(true);
  }

  // What the kernel says of the log as a whole.
  head(head) {
    this.title = head.title ?? "the driver";
    this.list.port.setAttribute("aria-label", `Log of ${this.title}`);
    this.list.maker.own = head.files ?? ["cell"];
    this.dropped = head.dropped ?? 0;
    this.counts();
  }

  // -- what is shown ----------------------------------------------------------------------------

  restart() {
    this.filter.restart();
    this.matches.restart();
  }

  // The row that the search begins at: where the user looks.
  get near() {
    return this.list.following ? this.store.end - 1 : this.list.top ?? this.store.base;
  }

  // New rows, or other ones: filter on, in slices, and draw.
  refresh(stale) {
    clearTimeout(this.filterTimer);
    const searches = this.criteria.find ? [this.filter, this.matches] : [this.filter];
    const first = searches.find((search) => !search.extend(FILTER_SLICE, this.near));
    const done = !first;
    const now = performance.now();
    this.stale ||= Boolean(stale);
    // Before the first answer what was in sight stays there.
    const nothing = first?.waiting && !this.filter.count;
    if (!nothing && (this.stale || done || now > (this.drawnAt ?? 0) + REDRAW)) {
      this.drawnAt = now;
      this.list.draw(this.stale);
      this.stale = false;
      this.counts();
    }
    if (first && !first.waiting) this.filterTimer = setTimeout(() => this.refresh(false), 0);
    else if (done && this.seek) this.seek();
  }

  // The user has typed: Find goes to the first match from here on.
  type() {
    this.search();
    if (!this.criteria.find || !this.criteria.text) return;
    this.seek = () => {
      this.seek = null;
      if (this.matches.count) this.next(0);
    };
    if (!this.matches.unseen()) this.seek();
  }

  search() {
    const { criteria, list } = this;
    criteria.text = this.query.value;
    this.seek = null;
    try {
      let pattern = criteria.pattern();
      this.problem = "";
      if (pattern && this.slow?.pattern === String(pattern)) {
        this.problem = this.slow.text;
        pattern = null;
      }
      // Only what the user wrote as an expression can take for ever.
      const remote = this.patterns.set(criteria.regular ? pattern : null, criteria.regular);
      const rule = withRemote(criteria.rule(criteria.find ? null : pattern), remote);
      if (rule) rule.narrows = narrowedRule(this.filter.rule, rule, criteria.regular);
      if (!sameRule(rule, this.filter.rule)) this.filter.set(rule);
      const found = withRemote(criteria.rule(pattern), remote);
      this.matches.set(criteria.find && pattern ? { ...found, invert: false } : null);
      list.maker.pattern = criteria.invert && !criteria.find ? null : pattern;
      list.maker.remote = remote;
      list.maker.look++;
    } catch (error) {
      // The last good pattern's rows stay.
      this.problem = `Not a regular expression: ${String(error.message).replace(/^Invalid regular expression: /, "")}`;
    }
    this.query.setAttribute("aria-invalid", String(Boolean(this.problem)));
    this.query.placeholder = criteria.find ? "Find  ( / )" : "Filter  ( / )";
    this.tellProblem();
    this.step.hidden = !criteria.find;
    this.refresh(true);
  }

  // The expression is given up: nothing is hidden by a search that does not end.
  tooSlow(seconds) {
    const text = `This expression is too slow: it took more than ${seconds} s for a few lines. All lines are shown.`;
    this.slow = { pattern: this.patterns.key, text };
    this.search();
  }

  tellProblem() {
    this.wrong.textContent = this.problem;
    this.wrong.hidden = !this.problem;
  }

  // Go to the next match (1), the one before (-1), or stay where one is (0).
  next(by) {
    const { list } = this;
    const found = this.criteria.find ? this.matches : this.filter;
    if (!this.criteria.text || !found.count) return;
    const here = list.current ?? list.top ?? this.store.base;
    let place = found.placeOf(here);
    const on = place < found.count && found.at(place) === here && list.current !== null;
    if (by < 0) place -= 1;
    else if (by > 0 && on) place += 1;
    place = (place + found.count) % found.count;
    list.choose(found.at(place), { reveal: false });
    list.reveal(this.filter.placeOf(found.at(place)), true);
    this.counts();
  }

  drawn() {
    const { list, filter } = this;
    if (list.following) this.missed = this.store.end;
    const end = Math.min(filter.count, list.scroll.place + list.page + 1);
    if (end > 0) this.missed = Math.max(this.missed, filter.at(end - 1) + 1);
    this.counts();
  }

  counts() {
    const { filter, matches, criteria, list } = this;
    const total = this.store.size;
    let shown = filter.rule ? `${grouped(filter.count)} of ` : "";
    let short = filter.rule ? `${shown}${compact(total)}` : plural(total, "line");
    if (criteria.find && criteria.text) {
      const at = list.current !== null && matches.has(list.current) ? `${grouped(matches.placeOf(list.current) + 1)}/` : "";
      short = `${at}${grouped(matches.count)}`;
      shown = `${short} found in ${shown}`;
    }
    const unseen = Math.max(filter.unseen(), criteria.find ? matches.unseen() : 0);
    const share = `${Math.floor((100 * (total - unseen)) / total)} %`;
    const searching = unseen ? ` · searching… ${share}` : "";
    const lost = this.dropped ? ` · ${grouped(this.dropped)} dropped` : "";
    const text = `${shown}${plural(total, "line")}${lost}${searching}`;
    if (this.counted !== text) {
      this.counted = text;
      this.count.firstChild.textContent = text;
      this.count.lastChild.textContent = short + (this.dropped ? ` · ${compact(this.dropped)} dropped` : "") + (unseen ? ` · ${share}` : "");
      this.count.classList.toggle("lengthy", text.length > BRIEF);
    }
    this.count.classList.toggle("warning", Boolean(this.dropped));
    this.count.title = this.dropped
      ? `${this.counted}. Dropped: prints that came faster than they could be taken, and the oldest lines beyond the million that is kept` : "";
    if (this.dropped) this.count.tabIndex = 0;
    else this.count.removeAttribute("tabindex");
    const { following } = list;
    this.followButton.textContent = following ? "Following" : "▼ Follow";
    this.followButton.setAttribute("aria-pressed", String(following));
    this.followButton.title = following ? "Stay here when lines come (f)" : "Go to the end and stay there (f)";
    const below = following ? 0 : filter.count - filter.placeOf(this.missed);
    this.below.hidden = below <= 0;
    this.below.textContent = `▼ ${plural(below, "new line")} below`;
    this.bar.hidden = this.body.hidden = total === 0;
    this.changed();
  }

  // -- what the user does -----------------------------------------------------------------------

  key(event) {
    return this.keys.pane(event);
  }

  selectedTimes() {
    const { range, current } = this.list;
    if (range) return range.map((number) => this.store.time(number));
    return current === null ? null : [this.store.time(current), null];
  }

  // Selected rows, or text within one, or else all that is shown. A second press stops it.
  async copy() {
    const { list, store, copyButton } = this;
    const mine = this.copying ? null : {};
    this.copying = mine;
    copyButton.textContent = "Copy";
    if (!mine) return;
    const rows = this.filter.copy();
    const { range } = list;
    const [from, to] = range ? [rows.placeOf(range[0]), rows.placeOf(range[1] + 1)] : [0, rows.count];
    const parts = !range && list.selecting() ? [String(document.getSelection())]
      : await plainLines(store, rows, from, to, (share) => {
        if (this.copying === mine) copyButton.textContent = `${Math.floor(share * 100)} % ✕`;
        return this.copying === mine;
      });
    if (!parts) return;
    const done = await toClipboard(parts);
    this.copying = null;
    copyButton.textContent = done ? "Copied" : "Cannot copy";
    setTimeout(() => {
      if (!this.copying) copyButton.textContent = "Copy";
    }, 1200);
  }

  goTo(driver, file, line) {
    const shown = reveal(this.el, { driver, file: file === "cell" ? null : file, line });
    if (!shown) this.say(`Line ${line} of ${file} is not in this page`);
  }

  // A word below the bar, for a moment.
  say(text) {
    this.wrong.textContent = text;
    this.wrong.hidden = false;
    clearTimeout(this.sayTimer);
    this.sayTimer = setTimeout(() => this.tellProblem(), 3000);
  }
}

// The rule that a new one only narrows, as its text goes on from where the old one's ends; or null.
function narrowedRule(before, rule, regular) {
  if (regular || !before?.pattern || !rule.pattern || before.invert || rule.invert) return null;
  const same = ["classes", "components", "drivers", "from", "to"].every((name) => before[name] === rule[name]);
  if (!same || before.pattern.flags !== rule.pattern.flags) return null;
  return rule.pattern.source.includes(before.pattern.source) ? before : null;
}

function withRemote(rule, remote) {
  return rule && { ...rule, remote: rule.pattern ? remote : null };
}

function sameRule(one, other) {
  if (!one || !other) return one === other;
  return ["classes", "components", "drivers", "from", "to", "invert", "remote"].every((name) => one[name] === other[name])
    && String(one.pattern) === String(other.pattern);
}

// Bytes in a buffer of their own, as typed arrays need their alignment.
export function aligned(view) {
  return new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
