// Control codes: the number, and what it is made of (CTL_CODE).
import { element } from "./text.js";

const CTL_METHODS = ["METHOD_BUFFERED", "METHOD_IN_DIRECT", "METHOD_OUT_DIRECT", "METHOD_NEITHER"];
const CTL_ACCESSES = ["FILE_ANY_ACCESS", "FILE_READ_ACCESS", "FILE_WRITE_ACCESS", "read and write"];

// A whole number, decimal or 0x…, from 0 to `most`; null where it is none.
export function wholeNumber(text, most) {
  const trimmed = text.trim().replaceAll("_", "");
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(trimmed)) return null;
  const value = Number(trimmed);
  return Number.isSafeInteger(value) && value <= most ? value : null;
}

function ctlChoice(id, names, changed) {
  const options = names.map((name, value) => element("option", { value: String(value), text: name }));
  return element("select", { id, onchange: changed }, ...options);
}

// A field for the code, and four for its parts: each follows the other.
export class CtlCode {
  constructor(id) {
    const parts = () => this.join();
    this.code = element("input", { id: `${id}-code`, value: "0x222000", oninput: () => this.split() });
    this.type = element("input", { id: `${id}-type`, class: "narrow", oninput: parts });
    this.function = element("input", { id: `${id}-function`, class: "narrow", oninput: parts });
    this.method = ctlChoice(`${id}-method`, CTL_METHODS, parts);
    this.access = ctlChoice(`${id}-access`, CTL_ACCESSES, parts);
    this.state = element("span", { class: "hex-state error", role: "status" });
    const field = (input, text) => element("span", { class: "field" },
      element("label", { for: input.id, text }), input);
    this.el = element("div", { class: "fields" }, field(this.code, "Control code"),
      element("details", { class: "inline" }, element("summary", { text: "CTL_CODE parts" }),
        element("div", { class: "fields" }, field(this.type, "device type"),
          field(this.function, "function"), field(this.method, "method"), field(this.access, "access"))),
      this.state);
    this.split();
  }

  // The number, or null where what is typed is none.
  get value() {
    return wholeNumber(this.code.value, 0xffffffff);
  }

  split() {
    const code = this.value;
    this.say([this.code, code === null && "a control code is a number from 0 to 0xffffffff"]);
    if (code === null) return;
    this.type.value = `0x${(code >>> 16).toString(16)}`;
    this.function.value = `0x${((code >>> 2) & 0xfff).toString(16)}`;
    this.method.value = String(code & 3);
    this.access.value = String((code >>> 14) & 3);
    for (const field of [this.type, this.function]) field.removeAttribute("aria-invalid");
  }

  join() {
    const type = wholeNumber(this.type.value, 0xffff);
    const number = wholeNumber(this.function.value, 0xfff);
    this.say([this.type, type === null && "a device type is from 0 to 0xffff"],
      [this.function, number === null && "a function is from 0 to 0xfff"]);
    if (type === null || number === null) return;
    const low = (Number(this.access.value) << 14) | (number << 2) | Number(this.method.value);
    this.code.value = `0x${(type * 0x10000 + low).toString(16)}`;
    this.code.removeAttribute("aria-invalid");
  }

  say(...checks) {
    for (const [field, wrong] of checks) {
      if (wrong) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
    const wrong = checks.map(([, text]) => text).find(Boolean);
    this.state.textContent = wrong ? `✖ ${wrong}` : "";
  }
}
