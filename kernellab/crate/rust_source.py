"""Just enough of Rust's lexical structure to find a crate's own attributes.

Comments (nested ones too), strings, raw strings, byte and C strings, characters and lifetimes
are told apart as in the Rust Reference, "Lexical structure", so that an attribute inside a
string or a comment does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

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


class Token(NamedTuple):
    """What a token is, and its part of the text."""

    kind: str
    start: int
    end: int


def tokens(source: str) -> Iterator[tuple[str, str]]:
    """The ``(kind, text)`` of each token: ``word``, ``other``, ``string``, ``char``, ``lifetime``.

    Comments and white space are left out. Unfinished strings and comments end with the text.
    """
    return ((kind, source[start:end]) for kind, start, end in scan(source))


def scan(source: str) -> Iterator[Token]:
    """The kind of each token, and where it starts and ends; see :func:`tokens`."""
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
            yield Token("string", match.start(), at)
        elif kind not in ("space", "line"):
            yield Token(kind, match.start(), at)


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


def crates_named(source: str) -> frozenset[str]:
    """What may be a crate by the way it is named: where a path begins, or after ``use``.

    Modules that the source declares (``mod log``) are none; types and what ``use`` brings are not
    told apart from crates.
    """
    texts = [text for _kind, text in tokens(source)]
    found: set[str] = set()
    declared: set[str] = set()
    for index, text in enumerate(texts):
        before = texts[max(index - 3, 0) : index]
        imported = before[-1:] == ["use"] or before[-2:] == ["extern", "crate"]
        root = texts[index + 1 : index + 3] == [":", ":"] and not _inside_path(before)
        if text == "mod":
            declared.update(texts[index + 1 : index + 2])
        elif imported or root:
            found.add(text)
    return frozenset(found - declared)


def _inside_path(before: Sequence[str]) -> bool:
    """Whether a path goes on behind these tokens; ``::log`` after nothing is a path's root."""
    if before[-2:] != [":", ":"]:
        return False
    earlier = "".join(before[:-2])
    return earlier not in _BEFORE_PATH and (earlier == ">" or earlier[:1].isalnum())


#: Words that stand before a path without being part of it.
_BEFORE_PATH: Final = frozenset("use as in return dyn impl mut where else match if".split())


@dataclass(frozen=True, slots=True)
class Impl:
    """An ``impl`` block: its first and last line (from 1), and how its items' paths begin.

    ``path`` is ``<Module as KernelModule>`` for a trait's, ``Module`` for a type's own.
    """

    first: int
    last: int
    path: str


#: What stands before an ``impl`` that is an item; elsewhere it is ``impl Trait``, a type.
_BEFORE_ITEM: Final = frozenset(["", "}", "{", ";", "]", "unsafe", "default"])

#: Most tokens between ``impl`` and its brace.
_HEADER: Final = 1000


def impl_blocks(source: str) -> list[Impl]:
    """The source's ``impl`` blocks. Compilers number them in debug information; people do not."""
    spans = [(source[start:end], start) for _kind, start, end in scan(source)]
    texts = [text for text, _start in spans]
    closing_of = closings(texts)
    found = []
    for index, text in enumerate(texts):
        if text != "impl" or (texts[index - 1] if index else "") not in _BEFORE_ITEM:
            continue
        header = range(index, min(index + _HEADER, len(texts)))
        opening = next((i for i in header if texts[i] in "{;"), None)
        if opening is None or texts[opening] != "{":
            continue
        path = impl_path(texts[index + 1 : opening])
        closing = closing_of.get(opening)
        if path and closing is not None:
            first = source.count("\n", 0, spans[index][1]) + 1
            found.append(Impl(first, source.count("\n", 0, spans[closing][1]) + 1, path))
    return found


def closings(texts: Sequence[str]) -> dict[int, int]:
    """Where each brace that is opened is closed, by index."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, text in enumerate(texts):
        if text == "{":
            opened.append(index)
        elif text == "}" and opened:
            found[opened.pop()] = index
    return found


def impl_path(header: Sequence[str]) -> str:
    """The path from what stands between ``impl`` and ``{``."""
    header = list(header)
    if header[:1] == ["<"]:
        del header[: _past_generics(header)]
    if "where" in header:
        header = header[: header.index("where")]
    for index, text in enumerate(header):
        # Not the ``for`` of ``for<'a> Fn(&'a T)``.
        if text == "for" and header[index + 1 : index + 2] != ["<"]:
            return f"<{_joined(header[index + 1 :])} as {_joined(header[:index])}>"
    return _joined(header)


def _past_generics(header: Sequence[str]) -> int:
    depth = 0
    for index, text in enumerate(header):
        if text == ">" and header[index - 1] != "-":
            depth -= 1
        depth += text == "<"
        if not depth:
            return index + 1
    return len(header)


def _joined(texts: Sequence[str]) -> str:
    out = ""
    for text in texts:
        tight = not out or not (out[-1].isalnum() and text[0].isalnum())
        out += text if tight else f" {text}"
        out += " " if text == "," else ""
    return out
