// The log as text and as JSON lines, in slices, for the clipboard and for files.
import { KIND, element, levelName } from "./text.js";

const SLICE = 20_000;
const MARKS_OF = { [KIND.STATE]: "— ", [KIND.VIOLATION]: "⚠ ", [KIND.BUGCHECK]: "✖ ", [KIND.DROPPED]: "… ", [KIND.ERROR]: "✖ " };
const EVENTS = ["dbgprint", "state", "violation", "bugcheck", "dropped", "error"];

// The bare lines of places from..to; a long line's parts are one line again.
export function plainLines(store, filter, from = 0, to = filter.count) {
  const parts = [];
  for (let place = from; place < to; place++) {
    const number = filter.at(place);
    if (place > from && !store.continued(number)) parts.push("\n");
    parts.push(store.text(number));
  }
  return parts.join("") + "\n";
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

// All rows of a filter as parts of a file; `progress` is called with a share. Returns null when stopped.
export async function fileParts(store, filter, format, progress) {
  const parts = [];
  const { count } = filter;
  let open = "";
  let openAt = -1;
  const json = format === "jsonl";
  for (let place = 0; place < count; ) {
    const out = [];
    for (const stop = Math.min(place + SLICE, filter.count); place < stop; place++) {
      const number = filter.at(place);
      if (openAt >= 0 && store.continued(number)) {
        open += store.text(number);
        continue;
      }
      if (openAt >= 0) out.push(json ? JSON.stringify(jsonFields(store, openAt, open)) : open);
      openAt = number;
      open = json ? store.text(number) : logLine(store, number);
    }
    if (out.length) parts.push(out.join("\n") + "\n");
    if (!progress(place / count)) return null;
    await new Promise((next) => setTimeout(next, 0));
    if (place >= filter.count) break;
  }
  if (openAt >= 0) parts.push((json ? JSON.stringify(jsonFields(store, openAt, open)) : open) + "\n");
  return parts;
}

export function download(name, parts, type) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = element("a", { href: url, download: name, style: "display:none" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page without https has no clipboard; the old way still works.
    const area = element("textarea", { style: "position:fixed;opacity:0" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
