// Bytes as hexadecimal digits, as text, and as a dump; and an editor for them.
import { element, plural } from "./text.js";

const HEX_MOST = 1 << 20;
const HEX_DUMPED = 4096;

// {bytes}, or {error, at} with the place of what is wrong. Two digits for each byte; between bytes
// there may be blanks, commas and 0x.
export function parseHex(text) {
  let length = 0;
  const tokens = [];
  for (const found of text.matchAll(/[^\s,]+/g)) {
    const start = /^0x/i.test(found[0]) ? 2 : 0;
    const wrong = found[0].slice(start).search(/[^0-9a-f]/i);
    if (wrong >= 0) {
      const at = found.index + start + wrong;
      return { error: `“${String.fromCodePoint(text.codePointAt(at))}” is no hexadecimal digit`, at };
    }
    if ((found[0].length - start) % 2) {
      return { error: "a digit is missing: two for each byte", at: found.index + found[0].length - 1 };
    }
    tokens.push(found[0].slice(start));
    length += tokens.at(-1).length / 2;
  }
  if (length > HEX_MOST) return tooLong(length);
  const bytes = new Uint8Array(length);
  let to = 0;
  for (const token of tokens) {
    for (let at = 0; at < token.length; at += 2) bytes[to++] = parseInt(token.substr(at, 2), 16);
  }
  return { bytes };
}

function tooLong(length) {
  return { error: `${plural(length, "byte")} are more than ${HEX_MOST.toLocaleString("en-US")}`, at: 0 };
}

export function toHex(bytes, separator = "") {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(separator);
}

// Bytes as text that can be edited: what is no printable UTF-8 is \xNN, a backslash \\.
export function toText(bytes) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let out = "";
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at];
    const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    let letter = "";
    try {
      letter = decoder.decode(bytes.subarray(at, at + size));
    } catch {
      letter = "";
    }
    if (letter === "\\") out += "\\\\";
    else if (letter === "\n" || /^[^\p{C}\p{Zl}\p{Zp}]$/u.test(letter)) out += letter;
    else {
      out += `\\x${toHex(bytes.subarray(at, at + 1))}`;
      at += 1;
      continue;
    }
    at += size;
  }
  return out;
}

// The reverse; also \n, \r, \t and \0.
export function parseText(text) {
  const encoder = new TextEncoder();
  const parts = [];
  let length = 0;
  const simple = { n: 10, r: 13, t: 9, 0: 0, "\\": 92 };
  const pieces = /\\(x[0-9a-f]{2}|[nrt0\\])|\\|[^\\]+/giu;
  for (const piece of text.matchAll(pieces)) {
    let bytes;
    if (piece[0] === "\\") {
      return { error: "“\\” has to be followed by x and two digits, n, r, t, 0 or \\", at: piece.index };
    }
    if (piece[1]) {
      const code = piece[1];
      bytes = [/^x/i.test(code) ? parseInt(code.slice(1), 16) : simple[code.toLowerCase()]];
    } else {
      bytes = encoder.encode(piece[0]);
    }
    parts.push(bytes);
    length += bytes.length;
  }
  if (length > HEX_MOST) return tooLong(length);
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return { bytes: out };
}

// Lines of 16 bytes: offset, digits, characters.
export function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, HEX_DUMPED); at += 16) {
    const row = bytes.subarray(at, Math.min(at + 16, HEX_DUMPED));
    const digits = `${toHex(row.subarray(0, 8), " ")}  ${toHex(row.subarray(8), " ")}`;
    const letters = Array.from(row, (b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : ".")).join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${digits.padEnd(48)}  ${letters}`);
  }
  if (bytes.length > HEX_DUMPED) {
    lines.push(`… first ${HEX_DUMPED.toLocaleString("en-US")} of ${plural(bytes.length, "byte")}`);
  }
  return lines.join("\n");
}

// Two fields for the same bytes, digits and text: what is typed into one appears in the other.
export class HexEditor {
  constructor(id, label) {
    this.bytes = new Uint8Array();
    this.error = "";
    this.hex = this.area(`${id}-hex`, () => this.edited(this.hex, this.text, parseHex, toText));
    this.text = this.area(`${id}-text`, () => {
      this.edited(this.text, this.hex, parseText, (bytes) => toHex(bytes, " "));
    });
    this.state = element("div", { class: "hex-state", role: "status", id: `${id}-state` });
    this.el = element("div", { class: "hex-editor", role: "group", "aria-label": label },
      element("label", { for: `${id}-hex`, text: `${label}, hex` }),
      element("label", { for: `${id}-text`, text: "as text" }),
      this.hex, this.text, this.state);
    this.say();
  }

  area(id, changed) {
    return element("textarea", {
      id, rows: "2", spellcheck: "false", autocomplete: "off", oninput: changed,
      "aria-describedby": id.replace(/-\w+$/, "-state"),
    });
  }

  edited(from, to, parse, show) {
    const { bytes, error = "", at = 0 } = parse(from.value);
    this.error = error;
    for (const field of [this.hex, this.text]) field.removeAttribute("aria-invalid");
    if (error) {
      from.setAttribute("aria-invalid", "true");
      this.say(from.value, at);
      return;
    }
    this.bytes = bytes;
    to.value = show(bytes);
    this.say();
  }

  // How many bytes, or what is wrong and where.
  say(text = "", at = 0) {
    this.state.classList.toggle("error", Boolean(this.error));
    if (!this.error) {
      this.state.textContent = plural(this.bytes.length, "byte");
      return;
    }
    const start = Math.max(0, at - 8);
    this.state.replaceChildren(`✖ ${this.error} (character ${at + 1}): `,
      element("code", {}, start ? "…" : "", text.slice(start, at),
        element("mark", { text: text.slice(at, at + 1) || " " }), text.slice(at + 1, at + 9)));
  }
}
