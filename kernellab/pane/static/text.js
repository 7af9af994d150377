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

// What rows can be told apart by: the level of a print, or what else it is.
export const CLASSES = new Map([
  ["plain", "Plain (println!)"], ["error", "Error"], ["warning", "Warning"], ["trace", "Trace"],
  ["info", "Info"], ["other", "Other levels"], ["state", "— State"], ["verifier", "⚠ Verifier"],
  ["bugcheck", "✖ Bug check"], ["failure", "✖ Errors, … lost events"],
]);
const LEVEL_CLASSES = ["error", "warning", "trace", "info"];
const KIND_CLASSES = ["", "state", "verifier", "bugcheck", "failure", "failure"];

export function classOf(meta) {
  const kind = meta & 7;
  if (kind !== KIND.PRINT) return KIND_CLASSES[kind] ?? "failure";
  const level = (meta >>> 8) & 255;
  if (level === 0 && meta >>> 16 === 77) return "plain";
  return LEVEL_CLASSES[level] ?? "other";
}

export function formatTime(seconds) {
  return seconds.toFixed(6);
}

// A distance in time, in the unit that reads best: "+12 µs", "+1.250 ms", "−3.2 s".
export function formatDistance(seconds) {
  const size = Math.abs(seconds);
  const sign = seconds < 0 ? "−" : "+";
  if (size < 0.9995e-3) return `${sign}${Math.round(size * 1e6)} µs`;
  if (size < 0.9995) return `${sign}${(size * 1e3).toFixed(3)} ms`;
  return `${sign}${size.toFixed(3)} s`;
}

const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

// A large number in few characters: 12.3M.
export function compact(count) {
  return count < 10_000 ? grouped(count) : SHORT.format(count);
}

export function grouped(count) {
  return count.toLocaleString("en-US");
}

// What is chosen of a list, in a few words.
export function checkedNames(chosen, others) {
  if (!chosen.length) return "none";
  if (chosen.length <= 3) return chosen.join(", ");
  return others.length <= 3 ? `all but ${others.join(", ")}` : `${chosen.length} of ${chosen.length + others.length}`;
}

export function plural(count, word) {
  return `${grouped(count)} ${word}${count === 1 ? "" : "s"}`;
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
