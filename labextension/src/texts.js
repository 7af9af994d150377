// Positions in a text, and the changes from one text to another. A change is { from, to, text }
// with offsets in UTF-16 units, as CodeMirror and JupyterLab count.

// Above this many cells of its table a comparison line by line costs more than it is worth.
const TABLE = 4_000_000;

// The offset of a 1-based line and a 1-based column in characters (code points), or -1 where the
// text has no such place. The column one past a line's end is a place.
export function offsetOf(text, line, column) {
  if (!Number.isInteger(line) || !Number.isInteger(column) || line < 1 || column < 1) return -1;
  let at = 0;
  for (let number = 1; number < line; number++) {
    at = text.indexOf("\n", at) + 1;
    if (at === 0) return -1;
  }
  for (let number = 1; number < column; number++) {
    if (at >= text.length || text[at] === "\n") return -1;
    at += text.codePointAt(at) > 0xffff ? 2 : 1;
  }
  return at;
}

// The same for a 1-based line and a 0-based column in UTF-16 units.
export function offsetOfUnits(text, line, column) {
  const from = offsetOf(text, line, 1);
  if (from < 0 || !Number.isInteger(column) || column < 0) return -1;
  const end = text.indexOf("\n", from);
  return from + column <= (end < 0 ? text.length : end) ? from + column : -1;
}

// The same in a document of CodeMirror, kept within it.
export function near(doc, line, column) {
  const row = doc.line(Math.min(Math.max(1, line), doc.lines));
  return Math.min(row.from + Math.max(0, column), row.to);
}

// The change without what both texts begin and end with. It does not cut a character in two.
function trim(from, before, after) {
  let start = 0;
  const shorter = Math.min(before.length, after.length);
  while (start < shorter && before[start] === after[start]) start++;
  if (isHigh(before, start - 1)) start--;
  let end = 0;
  while (end < shorter - start && before.at(-1 - end) === after.at(-1 - end)) end++;
  if (end > 0 && isLow(before, before.length - end)) end--;
  return {
    from: from + start,
    to: from + before.length - end,
    text: after.slice(start, after.length - end),
  };
}

function isHigh(text, at) {
  const unit = at >= 0 ? text.charCodeAt(at) : 0;
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLow(text, at) {
  const unit = text.charCodeAt(at);
  return unit >= 0xdc00 && unit < 0xe000;
}

// Pairs [i, j] of lines that stay: the longest common subsequence.
function common(before, after) {
  const [rows, columns] = [before.length, after.length];
  if (rows * columns > TABLE) return [];
  const table = new Uint32Array((rows + 1) * (columns + 1));
  const width = columns + 1;
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      table[i * width + j] =
        before[i] === after[j]
          ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const pairs = [];
  for (let i = 0, j = 0; i < rows && j < columns; ) {
    if (before[i] === after[j]) pairs.push([i++, j++]);
    else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i++;
    else j++;
  }
  return pairs;
}

function hunk(from, before, after, changes) {
  if (before.length === after.length) {
    // Line for line: a cursor stays in its line when only the indentation changes.
    for (let i = 0; i < before.length; i++) {
      if (before[i] !== after[i]) changes.push(trim(from, before[i], after[i]));
      from += before[i].length;
    }
  } else if (before.length || after.length) {
    changes.push(trim(from, before.join(""), after.join("")));
  }
}

// The changes that make `before` into `after`, in order, as small as lines allow.
export function changesBetween(before, after) {
  const old = before.match(/[^\n]*\n|[^\n]+/g) ?? [];
  const made = after.match(/[^\n]*\n|[^\n]+/g) ?? [];
  let head = 0;
  while (head < old.length && head < made.length && old[head] === made[head]) head++;
  let tail = 0;
  while (
    tail < old.length - head && tail < made.length - head &&
    old.at(-1 - tail) === made.at(-1 - tail)
  ) tail++;
  const left = old.slice(head, old.length - tail);
  const right = made.slice(head, made.length - tail);
  const changes = [];
  let from = old.slice(0, head).join("").length;
  let [i, j] = [0, 0];
  for (const [nextI, nextJ] of [...common(left, right), [left.length, right.length]]) {
    hunk(from, left.slice(i, nextI), right.slice(j, nextJ), changes);
    from += left.slice(i, nextI + 1).join("").length;
    [i, j] = [nextI + 1, nextJ + 1];
  }
  return changes;
}
