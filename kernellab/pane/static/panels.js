// Panels above the log: static HTML of kernellab's own, with links and buttons where it has places for them.
import { adopt, element } from "./text.js";
import { reveal } from "./cells.js";
import { Fixes, copier } from "./fixes.js";

const PLACE = /^(.+?):(\d+)(?::\d+)?$/;
const FIX = /\bkernellab-fix-(\d+)\b/;

export class Panels {
  // `host` has root and driver().
  constructor(host) {
    this.host = host;
    this.texts = [];
    this.el = element("div", { class: "panels kl-panels" });
  }

  update(panels, fixes) {
    if (panels.length === this.texts.length && panels.every((p, i) => p === this.texts[i])) return;
    this.texts = [...panels];
    const made = element("div", {}, ...panels.map((html) => adopt(String(html))));
    this.act(made, new Fixes(fixes, this.host));
    this.el.replaceChildren(...made.childNodes);
  }

  // Links, buttons: their words and what they do come from the text in the page and from data alone.
  act(made, fixes) {
    for (const span of made.querySelectorAll(".kernellab-go")) {
      const link = this.link(span.textContent, span.textContent, "go");
      if (link) span.replaceWith(link);
    }
    for (const place of made.querySelectorAll(".kernellab-at")) {
      const link = this.link(place.title, "Go to line", "");
      place.removeAttribute("title");
      if (link) place.append(" ", link);
    }
    for (const place of made.querySelectorAll("[class*='kernellab-fix-']")) {
      const number = FIX.exec(place.className)?.[1];
      if (place.classList.contains("kernellab-fix-all")) {
        const all = fixes.all();
        if (all) place.append(" ", all);
      } else if (number !== undefined && fixes.fixes[number]) {
        place.replaceChildren(fixes.row(Number(number)));
      }
    }
    for (const box of made.querySelectorAll(".kernellab-errors, .kernellab-bugcheck, .kernellab-violations")) {
      const text = box.innerText || box.textContent;
      const copy = copier(() => copied(box) || text);
      copy.classList.add("copy-report");
      copy.title = "Copy this report as text";
      box.prepend(copy);
    }
  }

  link(place, words, kind) {
    const match = PLACE.exec(place ?? "");
    if (!match) return null;
    const file = match[1] === "cell" ? null : match[1];
    const button = element("button", {
      type: "button", class: kind, text: words, title: `Show line ${match[2]} of ${file ?? "the cell"}`,
      onclick: (event) => {
        event.preventDefault(); // a summary would open or close
        const shown = reveal(this.host.root, { driver: this.host.driver(), file, line: Number(match[2]) });
        if (!shown) button.title = "this front end does not find it";
      },
    });
    return button;
  }
}

// A report as text, without the words of its buttons, folded parts included.
function copied(box) {
  const copy = box.cloneNode(true);
  for (const button of copy.querySelectorAll("button:not(.go)")) button.remove();
  for (const details of copy.querySelectorAll("details")) details.open = true;
  copy.style.cssText = "position:fixed;left:-9999px";
  box.parentNode.append(copy);
  const text = copy.innerText;
  copy.remove();
  return text;
}
