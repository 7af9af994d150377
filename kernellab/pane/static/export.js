// The log as text and as JSON lines, in slices, for the clipboard and for files.
import { KIND, element, levelName } from "./text.js";

const SLICE = 12; // milliseconds between two looks at what else there is to do
const ROWS = 256; // between two looks at the clock
const MARKS_OF = { [KIND.STATE]: "— ", [KIND.VIOLATION]: "⚠ ", [KIND.BUGCHECK]: "✖ ", [KIND.DROPPED]: "… ", [KIND.ERROR]: "✖ " };
const EVENTS = ["dbgprint", "state", "violation", "bugcheck", "dropped", "error"];

// `step` is called with each of places from..to, in slices of time; what `taken` returns after each is one
// part. `progress` is called with a share, and says whether to go on. Returns the parts, null when stopped.
async function inSlices(from, to, step, taken, progress) {
  const parts = [];
  let until = performance.now() + SLICE;
  for (let place = from; place < to; place++) {
    step(place);
    if (place % ROWS || performance.now() < until) continue;
    parts.push(new Blob([taken()])); // a long text leaves the page's own memory piece by piece
    if (!progress((place - from) / (to - from))) return null;
    await new Promise((next) => setTimeout(next, 0));
    until = performance.now() + SLICE;
  }
  parts.push(taken());
  return parts;
}

// The bare lines of places from..to, in parts; a long line's parts are one line again.
export function plainLines(store, filter, from, to, progress) {
  let out = [];
  const step = (place) => {
    const number = filter.at(place);
    if (!store.has(number)) return; // let go meanwhile
    if (place > from && !store.continued(number)) out.push("\n");
    out.push(store.text(number));
  };
  const taken = () => {
    const text = out.join("");
    out = [];
    return text;
  };
  return inSlices(from, to, step, taken, progress).then((parts) => parts && [...parts, "\n"]);
}

// Lines with time, driver where there are several, and level.
function logLine(store, number) {
  const text = store.text(number);
  if (store.continued(number)) return text;
  const meta = store.meta(number);
  const kind = meta & 7;
  const time = store.time(number).toFixed(6).padStart(12);
  const driver = store.drivers.length > 1 ? ` ${store.driver(number) || "-"}:` : "";
  const level = kind === KIND.PRINT && levelName(meta);
  return `${time} ${driver} ${level ? `[${level}] ` : ""}${MARKS_OF[kind] ?? ""}${text}`;
}

// The fields of `kernellab run --json`, those that a row has.
function jsonFields(store, number, text) {
  const meta = store.meta(number);
  const kind = meta & 7;
  const fields = { event: EVENTS[kind] ?? "error" };
  if (store.driver(number)) fields.driver = store.driver(number);
  fields.time = store.time(number);
  if (kind !== KIND.PRINT) return { ...fields, message: text };
  return {
    ...fields, text: `${text}\n`, level: (meta >>> 8) & 255, component: meta >>> 16,
    irql: (meta >>> 4) & 15, thread: store.thread(number),
  };
}

// Rows at places from..to as parts of a file; `progress` as above.
export async function fileParts(store, filter, from, to, format, progress) {
  const json = format === "jsonl";
  let out = [];
  let open = "";
  let openAt = -1;
  const close = () => {
    if (openAt >= 0) out.push(json ? JSON.stringify(jsonFields(store, openAt, open)) : open);
  };
  const step = (place) => {
    const number = filter.at(place);
    if (!store.has(number)) return;
    if (openAt >= 0 && store.continued(number)) {
      open += store.text(number);
      return;
    }
    close();
    openAt = number;
    open = json ? store.text(number) : logLine(store, number);
  };
  const taken = () => {
    const text = out.length ? out.join("\n") + "\n" : "";
    out = [];
    return text;
  };
  const parts = await inSlices(from, to, step, taken, progress);
  close();
  return parts && [...parts, taken()];
}

export function download(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = element("a", { href: url, download: name, style: "display:none" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

// A text, or its parts, into the clipboard; whether that was done.
export async function toClipboard(text) {
  const parts = [text].flat();
  try {
    // As a blob, a long text is put together beside the page.
    if (parts.length > 2 && navigator.clipboard.write && window.ClipboardItem) {
      const blob = new Blob(parts, { type: "text/plain" });
      await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
    } else {
      await navigator.clipboard.writeText(await new Blob(parts).text());
    }
    return true;
  } catch {
    // A page without https has no clipboard; the old way still works.
    const area = element("textarea", { style: "position:fixed;opacity:0" });
    area.value = await new Blob(parts).text();
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
