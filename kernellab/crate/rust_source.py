"""Just enough of Rust's lexical structure to find a crate's own attributes.

Comments (nested ones too), strings, raw strings, byte and C strings, characters and lifetimes
are told apart as in the Rust Reference, "Lexical structure", so that an attribute inside a
string or a comment does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<line>//[^\n]*)
    | (?P<block>/\*)
    | (?P<raw>(?:br|cr|r)(?P<hashes>\#*)")
    | (?P<string>[bc]?"(?:\\.|[^"\\])*(?:"|\Z))
    | (?P<char>b?'(?:\\(?:x[0-9A-Fa-f]{2}|u\{[0-9A-Fa-f_]*\}|.)|[^'\\\n])')
    | (?P<lifetime>'(?:r\#)?\w+)
    | (?P<word>(?:r\#)?\w+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def tokens(source: str) -> Iterator[tuple[str, str]]:
    """The ``(kind, text)`` of each token: ``word``, ``other``, ``string``, ``char``, ``lifetime``.

    Comments and white space are left out. Unfinished strings and comments end with the text.
    """
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:  # cannot be: the last branch takes any character
            return
        kind, at = match.lastgroup or "other", match.end()
        if kind == "hashes":
            kind = "raw"
        if kind == "block":
            at = _block_end(source, at)
        elif kind == "raw":
            end = source.find('"' + match["hashes"], at)
            at = len(source) if end < 0 else end + 1 + len(match["hashes"])
            yield "string", source[match.start() : at]
        elif kind not in ("space", "line"):
            yield kind, match.group()


def _block_end(source: str, at: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(source, at)
        if edge is None:
            return len(source)
        depth += 1 if edge.group() == "/*" else -1
        at = edge.end()
    return at


def crate_attributes(source: str) -> frozenset[str]:
    """The words in the source's own ``#![…]`` attributes at its start, such as ``no_std``.

    Words after a ``cfg_attr`` predicate count as given: that source decides for itself.
    """
    found: set[str] = set()
    stream = tokens(source)
    while (
        next(stream, None) == ("other", "#")
        and next(stream, None) == ("other", "!")
        and next(stream, None) == ("other", "[")
    ):
        depth = 1
        for kind, text in stream:
            if kind == "word":
                found.add(text)
            elif kind == "other":
                depth += {"[": 1, "]": -1}.get(text, 0)
                if not depth:
                    break
    return frozenset(found)


def words(source: str) -> frozenset[str]:
    """Every identifier and keyword outside comments and literals."""
    return frozenset(text for kind, text in tokens(source) if kind == "word")
