// The magic's line of a cell: which magic, which driver, which file, and where the Rust begins.

// Magics that run the rest of the cell as a cell of its own, so that a Rust magic may follow.
const WRAPPERS = /^%%(?:capture|time)(?:\s|$)/;
const MAGIC = /^%%(rust\w*)(?:[ \t]+(.*))?$/;
// No magic's line is further from the start of a cell than this.
const HEAD = 8192;

// The magic's words: blanks separate them, quotes hold them together.
function split(line) {
  const words = [];
  for (const match of line.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g)) {
    words.push(match[0].replace(/["']/g, ""));
  }
  return words;
}

// What the first lines of `text` say, or null when they name no Rust magic:
// { magic, words, from, to, body } with `from`..`to` the magic's line and `body` the offset of the
// code, which is -1 when the line is all there is. IPython drops blank lines and the indentation
// before a magic, so they may stand here too.
export function parseHead(text) {
  let from = 0;
  while (from < HEAD) {
    const end = text.indexOf("\n", from);
    const to = end < 0 ? text.length : end;
    const line = text.slice(from, to).trim();
    if (line !== "" && !WRAPPERS.test(line)) {
      const found = MAGIC.exec(line);
      if (!found) return null;
      const words = split(found[2] ?? "");
      return { magic: found[1], words, from, to, body: end < 0 ? -1 : end + 1 };
    }
    if (end < 0) return null;
    from = end + 1;
  }
  return null;
}

// Whether a cell with this head holds Rust: %%rustfile may hold any other text file.
export function isRust(head) {
  if (!head) return false;
  if (head.magic !== "rustfile") return true;
  const path = fileOf(head);
  return path === null || path.endsWith(".rs");
}

// The words that are no options. An option's value may be among them.
function plain(head) {
  return head.words.filter((word) => !word.startsWith("-"));
}

// The path that a %%rustfile cell writes, or null.
export function fileOf(head) {
  return head.magic === "rustfile" ? (plain(head)[1] ?? null) : null;
}

// Whether the cell with this head is the `magic` cell of driver `name` (and file `path`).
export function isCellOf(head, magic, name, path = null) {
  if (!head || head.magic !== magic) return false;
  const words = plain(head);
  return words.includes(name) && (path === null || words.includes(path));
}
