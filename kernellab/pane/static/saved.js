// The widget's state as this version reads it. What a saved notebook holds may be of an older
// version or a newer one, or damaged: what is not as it should be is left out.

const SCALARS = ["title", "state", "detail", "timings", "note", "busy", "waiting", "heard", "pane"];
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value, passes) => (Array.isArray(value) ? value.filter(passes) : []);
const isNumber = (value) => Number.isFinite(value) && value >= 0;

export function headOf(model) {
  const head = model.get("head");
  if (!isObject(head)) return {};
  const isText = (value) => typeof value === "string";
  const sane = {
    ...head,
    tabs: listOf(head.tabs, (tab) => Array.isArray(tab) && isText(tab[0])),
    files: Array.isArray(head.files) ? head.files.filter(isText) : null,
  };
  for (const name of SCALARS) if (typeof head[name] !== "string") sane[name] = "";
  if (!isNumber(head.dropped)) sane.dropped = 0;
  for (const name of ["reasons", "progress"]) if (!isObject(head[name])) sane[name] = null;
  return sane;
}

export function textsOf(model, name) {
  return listOf(model.get(name), (text) => typeof text === "string");
}

export function objectsOf(model, name) {
  return listOf(model.get(name), isObject);
}

export function snapshotOf(model) {
  const snapshot = model.get("snapshot");
  if (!isObject(snapshot)) return {};
  const isRow = (row) =>
    Array.isArray(row) && typeof row[0] === "string" && row.slice(1, 5).every(isNumber);
  const rows = listOf(snapshot.rows, isRow);
  const count = (value) => (isNumber(value) ? Math.min(Math.floor(value), Number.MAX_SAFE_INTEGER) : 0);
  return {
    rows,
    head: Math.min(count(snapshot.head), rows.length),
    omitted: count(snapshot.omitted),
    drivers: listOf(snapshot.drivers, (name) => typeof name === "string"),
    components: isObject(snapshot.components) ? snapshot.components : {},
  };
}
