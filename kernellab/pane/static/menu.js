// Menus and other boxes that a button opens.
import { element } from "./text.js";

let popupNumber = 0;

// A button with a box below it. `fill(box)` makes what is in it, each time it opens.
export class Popup {
  constructor({ label, title, name = "", role = "menu", fill }) {
    this.fill = fill;
    this.id = `kernellab-popup-${++popupNumber}`;
    this.box = element("div", {
      class: `popup ${role}`, id: this.id, role, "aria-label": title, hidden: "",
      onkeydown: (event) => this.key(event),
    });
    // In the top layer it is not cut off by a short cell.
    if ("showPopover" in HTMLElement.prototype) this.box.setAttribute("popover", "manual");
    this.button = element("button", {
      type: "button", text: label, title, class: `opens ${name}`,
      "aria-haspopup": role === "menu" ? "menu" : "dialog", "aria-expanded": "false",
      "aria-controls": this.id, onclick: () => (this.open ? this.close() : this.show()),
      onkeydown: (event) => {
        if (event.key !== "ArrowDown") return;
        this.show();
        event.preventDefault();
      },
    });
    if (title && title !== label) this.button.setAttribute("aria-label", title);
    this.el = element("span", { class: "popup-place" }, this.button, this.box);
    this.open = false;
    this.outside = (event) => {
      if (!this.el.contains(event.target)) this.close(false);
    };
    this.gone = (event) => {
      if (!this.box.contains(event.target)) this.close(false);
    };
  }

  show() {
    if (this.open) return;
    this.open = true;
    this.refill();
    this.box.hidden = false;
    this.box.showPopover?.();
    this.button.setAttribute("aria-expanded", "true");
    const at = this.button.getBoundingClientRect();
    const { width, height } = this.box.getBoundingClientRect();
    const below = at.bottom + height + 4 < innerHeight || at.top < height;
    this.box.style.left = `${Math.max(4, Math.min(at.left, innerWidth - width - 4))}px`;
    this.box.style.top = `${Math.max(4, below ? Math.min(at.bottom + 2, innerHeight - height - 4) : at.top - height - 2)}px`;
    document.addEventListener("pointerdown", this.outside, true);
    document.addEventListener("scroll", this.gone, true);
    this.items[0]?.focus();
  }

  refill() {
    this.box.replaceChildren();
    this.fill(this.box);
  }

  close(focus = true) {
    if (!this.open) return;
    this.open = false;
    this.box.hidePopover?.();
    this.box.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", this.outside, true);
    document.removeEventListener("scroll", this.gone, true);
    if (focus) this.button.focus();
  }

  get items() {
    return [...this.box.querySelectorAll('[role^="menuitem"], input, button')];
  }

  key(event) {
    if (event.key === "Escape") {
      this.close();
    } else if (this.box.getAttribute("role") === "menu") {
      const { items } = this;
      const at = items.indexOf(document.activeElement);
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const to = { Home: 0, End: items.length - 1 }[event.key]
        ?? (step && (at + step + items.length) % items.length);
      if (event.key === "Tab") this.close(false);
      if (to === undefined) return;
      items[to].focus();
      event.preventDefault();
    } else {
      return;
    }
    event.stopPropagation();
  }

  dispose() {
    this.close(false);
  }
}

// One line of a menu. `checked` undefined: it does something and closes the menu.
export function menuItem(popup, label, act, { checked, radio = false, hint = "" } = {}) {
  const role = checked === undefined ? "menuitem" : radio ? "menuitemradio" : "menuitemcheckbox";
  const item = element("button", {
    type: "button", role, tabindex: "-1", class: "item",
    onclick: () => {
      act();
      if (checked === undefined) return popup.close();
      const at = popup.items.indexOf(item);
      popup.refill();
      popup.items[at]?.focus();
    },
  }, element("span", { class: "tick", "aria-hidden": "true", text: checked ? (radio ? "●" : "✓") : "" }),
  element("span", { class: "label", text: label }));
  if (hint) item.append(element("kbd", { text: hint, "aria-hidden": "true" }));
  if (checked !== undefined) item.setAttribute("aria-checked", String(checked));
  return item;
}

export function menuTitle(text) {
  return element("div", { class: "menu-title", role: "presentation", text });
}

// A check box with its label, for boxes that are no menus.
export function checkBox(label, checked, act) {
  const box = element("input", { type: "checkbox", onchange: () => act(box.checked) });
  box.checked = checked;
  return element("label", { class: "check" }, box, label);
}
