// Small things: times, levels, and HTML of our own made into elements.

export const KIND = { PRINT: 0, STATE: 1, VIOLATION: 2, BUGCHECK: 3, DROPPED: 4, ERROR: 5 };
export const CONTINUED = 8;

const LEVELS = ["ERROR", "WARN", "TRACE", "INFO"];
const MARKS = ["", "—", "⚠", "✖", "…", "✖"];

export function levelName(meta) {
  const kind = meta & 7;
  if (kind !== KIND.PRINT) return MARKS[kind] ?? "";
  const level = (meta >>> 8) & 255;
  // println! prints at IHVDRIVER/ERROR because the default filter passes that.
  if (level === 0 && meta >>> 16 === 77) return "";
  return LEVELS[level] ?? String(level);
}

export function formatTime(seconds) {
  return seconds.toFixed(6);
}

export function plural(count, word) {
  return `${count.toLocaleString("en-US")} ${word}${count === 1 ? "" : "s"}`;
}

// What the package's own static HTML is made of. Everything else is left out.
const TAGS = new Set(
  ("DIV SPAN P PRE CODE STRONG EM B I OL UL LI DETAILS SUMMARY TABLE TBODY TR TD TH SMALL").split(" "),
);
const ATTRIBUTES = new Set(["class", "style", "title", "role", "aria-label", "open", "start"]);

// HTML text as new elements: parsed in a document without scripts, then copied by permission.
export function adopt(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const out = document.createDocumentFragment();
  copyChildren(parsed.body, out, 0);
  return out;
}

function copyChildren(from, to, depth) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) {
      to.appendChild(document.createTextNode(node.data));
    } else if (node.nodeType === Node.ELEMENT_NODE && TAGS.has(node.tagName) && depth < 30) {
      const copy = document.createElement(node.tagName);
      for (const { name, value } of node.attributes) {
        if (!ATTRIBUTES.has(name)) continue;
        if (name === "style" && /url\(|position|expression/i.test(value)) continue;
        copy.setAttribute(name, value);
      }
      copyChildren(node, copy, depth + 1);
      to.appendChild(copy);
    }
  }
}

// element("button", { class: "x", text: "Copy", onclick: f }) and so on.
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
