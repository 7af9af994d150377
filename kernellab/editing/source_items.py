"""The items in a Rust source: functions, types and blocks, by name and place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ..crate.rust_source import impl_path, scan
from .code import simple_name


@dataclass(frozen=True, slots=True)
class Item:
    """An item: its path as its author would say it, what it is, and its part of the text.

    ``kind`` is its keyword: ``fn``, ``struct``, ``impl``, …; ``macro`` for a macro's call.
    """

    path: str
    kind: str
    start: int
    end: int


_NAMED: Final = frozenset("fn struct enum union trait mod type const static macro_rules".split())
_BEFORE: Final = frozenset("pub unsafe async extern default safe gen".split())
#: Ended by a semicolon alone: braces are part of a value.
_TO_SEMICOLON: Final = frozenset("const static use type let".split())
_OPENING: Final = {"{": "}", "(": ")", "[": "]"}


def items(text: str) -> list[Item]:
    """Every item of ``text``, those inside modules, blocks and traits after what holds them."""
    return list(_Scanner(text).items(""))


def functions(text: str) -> list[str]:
    """The paths of the functions in ``text``, such as ``Module::init``."""
    return [each.path for each in items(text) if each.kind == "fn"]


class _Scanner:
    def __init__(self, text: str) -> None:
        self._spans = [(start, end) for _kind, start, end in scan(text)]
        self._texts = [text[start:end] for start, end in self._spans]
        self._closing = _pairs(self._texts)

    def items(self, prefix: str, at: int = 0, end: int | None = None) -> Iterator[Item]:
        """The items between two tokens, with ``prefix`` before their names."""
        end = len(self._texts) if end is None else end
        while at < end:
            start, head = at, self._after_attributes(at, end)
            kind, name_at = self._kind(head, end)
            after, body = self._end(head, end, kind)
            name = self._name(kind, name_at, body if body is not None else after)
            path = f"{prefix}{name}" if name else ""
            if kind and path:
                first, last = self._spans[start][0], self._spans[after - 1][1]
                yield Item(simple_name(path, ""), kind, first, last)
            if body is not None and kind in ("mod", "impl", "trait", "const"):
                inside = prefix if kind == "const" else f"{path}::"
                yield from self.items(inside, body + 1, self._closing[body])
            at = after

    def _after_attributes(self, at: int, end: int) -> int:
        while at < end and self._texts[at] == "#":
            at += 1 + (self._texts[at + 1 : at + 2] == ["!"])
            at = self._closing.get(at, at) + 1
        return at

    def _kind(self, at: int, end: int) -> tuple[str, int]:
        """The item's keyword, and where what names it begins."""
        while at < end:
            text = self._texts[at]
            following = self._texts[at + 1] if at + 1 < end else ""
            if text == "const" and following in ("fn", "unsafe", "async", "extern"):
                at += 1
            elif text in _BEFORE or text.startswith('"'):
                at = self._closing.get(at + 1, at) + 1 if following == "(" else at + 1
            elif text in _NAMED or text in ("impl", "use"):
                return text, at + 1
            elif following == "!":
                return "macro", at
            else:
                return "", at
        return "", at

    def _end(self, at: int, end: int, kind: str) -> tuple[int, int | None]:
        """The token behind the item, and the brace that opens its body."""
        body = None
        while at < end:
            text = self._texts[at]
            if text == ";":
                return at + 1, body
            if text in _OPENING and at in self._closing:
                if text == "{":
                    body = body if body is not None else at
                at = self._closing[at]
                if text == "{" and kind not in _TO_SEMICOLON:
                    return at + 1, body
            elif text in _OPENING:
                return end, body  # never closed
            at += 1
        return end, body

    def _name(self, kind: str, at: int, until: int) -> str:
        if kind == "impl":
            return impl_path(self._texts[at:until])
        if kind == "macro_rules":
            at += 1
        return self._texts[at] if kind and kind != "use" and at < len(self._texts) else ""


def _pairs(texts: Sequence[str]) -> dict[int, int]:
    """Where each bracket that is opened is closed, by index."""
    found: dict[int, int] = {}
    opened: list[int] = []
    for index, text in enumerate(texts):
        if text in _OPENING:
            opened.append(index)
        elif text in _OPENING.values() and opened and _OPENING[texts[opened[-1]]] == text:
            found[opened.pop()] = index
    return found
