// A language for cells: the magic's line, then Rust, whose grammar JupyterLab itself brings.

import { Language, defineLanguageFacet, languageDataProp } from "@codemirror/language";
import { NodeSet, NodeType, Parser, Tree, parseMixed } from "@lezer/common";
import { styleTags, tags } from "@lezer/highlight";

import { parseHead } from "./magic.js";

const [CELL, LINE, MAGIC, OPTION, STRING, COMMENT, RUST] = [0, 1, 2, 3, 4, 5, 6];
const headData = defineLanguageFacet({ commentTokens: { line: "#" } });
const types = new NodeSet(
  ["Cell", "MagicLine", "Magic", "Option", "Quoted", "Comment", "Rust"].map((name, id) =>
    NodeType.define({
      id,
      name,
      top: id === CELL,
      props: id === CELL ? [[languageDataProp, headData]] : [],
    }),
  ),
).extend(
  styleTags({
    Magic: tags.keyword,
    Option: tags.attributeName,
    Quoted: tags.string,
    Comment: tags.comment,
  }),
);
const WORDS = /%%\w+|--?[\w-]+|"[^"]*"|'[^']*'|#.*/g;

function leaf(type, length) {
  return new Tree(types.types[type], [], [], length);
}

// The tree of all before the body, and one leaf for the body.
function headTree(text, length, body) {
  const children = [];
  const positions = [];
  const end = body < 0 ? length : Math.min(body, length);
  let from = 0;
  for (const line of text.slice(0, end).split("\n")) {
    const parts = [];
    const at = [];
    for (const match of line.matchAll(WORDS)) {
      const first = match[0][0];
      const type =
        first === "%" ? MAGIC : first === "-" ? OPTION : first === "#" ? COMMENT : STRING;
      parts.push(leaf(type, match[0].length));
      at.push(match.index);
    }
    if (parts.length) {
      children.push(new Tree(types.types[LINE], parts, at, line.length));
      positions.push(from);
    }
    from += line.length + 1;
  }
  if (body >= 0 && body < length) {
    children.push(leaf(RUST, length - body));
    positions.push(body);
  }
  return new Tree(types.types[CELL], children, positions, length);
}

class HeadParse {
  constructor(input) {
    this.input = input;
    this.parsedPos = 0;
    this.stoppedAt = null;
  }

  stopAt(position) {
    this.stoppedAt = position;
  }

  advance() {
    const length = Math.min(this.stoppedAt ?? this.input.length, this.input.length);
    const text = this.input.read(0, Math.min(this.input.length, 16384));
    this.parsedPos = length;
    return headTree(text.slice(0, length), length, parseHead(text)?.body ?? -1);
  }
}

class CellParser extends Parser {
  constructor(rust) {
    super();
    this.wrap = parseMixed((node) => (node.type.id === RUST && node.name === "Rust" ? { parser: rust } : null));
  }

  createParse(input, fragments, ranges) {
    return this.wrap(new HeadParse(input), input, fragments, ranges);
  }
}

// The language of Rust cells. `rust` is the LRLanguage of @codemirror/lang-rust.
export function cellLanguage(rust) {
  const data = defineLanguageFacet({
    commentTokens: { line: "//", block: { open: "/*", close: "*/" } },
    indentOnInput: /^\s*(?:\{|\})$/,
    // A lone ' mostly begins a lifetime.
    closeBrackets: { brackets: ["(", "[", "{", '"'], stringPrefixes: ["b", "r", "br"] },
  });
  const parser = rust.parser.configure({
    props: [languageDataProp.add((type) => (type.isTop ? data : undefined))],
  });
  return new Language(headData, new CellParser(parser), [], "kernellab-rust");
}

// For an editor that has no language of its own once its cell is Rust no more.
class NothingParse extends HeadParse {
  advance() {
    const length = Math.min(this.stoppedAt ?? this.input.length, this.input.length);
    this.parsedPos = length;
    return new Tree(NodeType.none, [], [], length);
  }
}

class NothingParser extends Parser {
  createParse(input) {
    return new NothingParse(input);
  }
}

export function noLanguage() {
  const data = defineLanguageFacet({});
  const top = NodeType.define({ id: 0, name: "Text", top: true, props: [[languageDataProp, data]] });
  const parser = new NothingParser();
  return new Language(data, parser, [], "kernellab-text", top);
}
