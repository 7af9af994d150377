// The log's keys: in the search field, on the rows, anywhere in the pane.

export class LogKeys {
  constructor(view) {
    this.view = view;
    view.list.port.addEventListener("keydown", (event) => {
      if (!this.rows(event)) return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  // In the search field.
  query(event) {
    const { view } = this;
    if (event.key === "Enter") {
      view.next(event.shiftKey ? -1 : 1);
    } else if (event.key === "ArrowDown") {
      view.list.port.focus();
    } else if (event.key === "Escape") {
      view.query.value = "";
      view.search();
      view.list.port.focus();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  // On the rows; whether it is a key of theirs.
  rows(event) {
    const { view } = this;
    const { list, filter } = view;
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.altKey) {
      if (event.key === "a") list.chooseAll();
      else if (event.key === "c" && list.range) view.copy();
      else return false;
      return true;
    }
    if (event.altKey) return false;
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -list.page, PageDown: list.page }[event.key];
    if (steps) {
      list.step(steps, event.shiftKey);
      return true;
    }
    const ends = { Home: 0, g: 0, End: filter.count - 1, G: filter.count - 1 }[event.key];
    if (ends !== undefined) {
      if (filter.count) list.choose(filter.at(ends), { extend: event.shiftKey && event.key !== "G" });
      if (ends) list.follow(true);
      return true;
    }
    return this.letter(event);
  }

  letter(event) {
    const { view } = this;
    const { list, menus } = view;
    const act = {
      n: () => view.next(1),
      N: () => view.next(-1),
      f: () => list.follow(!list.following),
      w: () => menus.setWrap(!menus.options.wrap),
      t: () => menus.nextTimes(),
      z: () => menus.setZero(),
      c: () => view.copy(),
      Enter: () => list.shown.get(list.current)?.querySelector(".place")?.click(),
      Escape: () => {
        if (list.range) list.choose(list.current, { reveal: false });
        else if (view.query.value) {
          view.query.value = "";
          view.search();
        } else {
          list.choose(null);
        }
      },
    }[event.key];
    act?.();
    return Boolean(act);
  }

  // Anywhere in the pane, where no control has taken it; whether it is taken here.
  pane(event) {
    const typing = event.target.closest("input, textarea, select");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.key === "/") this.view.query.focus();
    else if (event.key === "?") this.view.menus.help.show();
    else return false;
    return true;
  }
}
