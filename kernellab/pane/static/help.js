// The keys of the log, in a box.
import { element } from "./text.js";
import { Popup } from "./menu.js";

const KEYS = [
  ["/", "go to the search field"], ["Enter, Shift+Enter", "next, previous match"],
  ["n, N", "the same from the lines"], ["Esc", "clear the search; let the selection go"],
  ["↑ ↓ PageUp PageDown", "move line by line, page by page"], ["Home or g, End or G", "first line; last line and follow"],
  ["Shift + these, Shift+click", "select lines; dragging does too"], ["Ctrl+A, Ctrl+C or c", "select all shown; copy"],
  ["Enter on a line", "go to the place in the cell that it names"],
  ["f", "follow, or stay"], ["w", "wrap long lines"], ["t", "times: virtual, from zero, between lines, none"],
  ["z", "times count from this line"], ["Shift+click on a time", "show from there on; once more: up to there"],
];

export function helpPopup() {
  return new Popup({
    label: "?", title: "Keys of the log", role: "dialog", name: "help",
    fill: (box) => {
      const list = element("dl", { class: "keys", tabindex: "-1" });
      for (const [key, what] of KEYS) {
        list.append(element("dt", {}, element("kbd", { text: key })), element("dd", { text: what }));
      }
      box.append(list);
    },
  });
}
