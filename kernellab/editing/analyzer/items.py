"""What rust-analyzer's answers say, checked and in our own words.

Its answers are read as what they may be: anything of the wrong shape is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from .positions import Position, to_column

#: The names of ``CompletionItemKind``, as front ends' completers know them.
_KINDS: Final = {
    2: "method",
    3: "function",
    4: "constructor",
    5: "field",
    6: "variable",
    7: "class",
    8: "trait",
    9: "module",
    10: "property",
    13: "enum",
    14: "keyword",
    15: "snippet",
    20: "variant",
    21: "constant",
    22: "struct",
    23: "macro",
    25: "type",
}

_LEVELS: Final = {1: "error", 2: "warning", 3: "info", 4: "hint"}

_PLACEHOLDER: Final = re.compile(r"\$\{\d+:([^{}$]*)\}|\$\{?\d+\}?")


@dataclass(frozen=True, slots=True)
class Completion:
    """What can stand from ``start`` (a column in characters) to the cursor; ``kind`` is a word."""

    text: str
    kind: str
    start: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """A function that is being called; ``parameters`` as written, ``active`` is one's index."""

    label: str
    parameters: tuple[str, ...] = ()
    active: int | None = None
    documentation: str = ""


@dataclass(frozen=True, slots=True)
class Hint:
    """A message about a place: ``severity`` is ``error``, ``warning``, ``info`` or ``hint``."""

    start: Position
    end: Position
    severity: str
    code: str
    message: str


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _position(value: object) -> Position:
    place = _dict(value)
    return Position(_number(place.get("line")), _number(place.get("character")))


def _words(value: object) -> str:
    """Of documentation: a string, or an object with the text in ``value``."""
    return _text(value) or _text(_dict(value).get("value"))


def completions(answer: object, line: str, column: int) -> list[Completion]:
    """Of ``textDocument/completion``: what can stand where a word ends before ``column``.

    Best first, whatever of the word is there already: see :func:`fitting`. Left out is
    what would change text elsewhere, which no notebook can do.
    """
    items = _list(answer if isinstance(answer, list) else _dict(answer).get("items"))
    begin = word_start(line, column)
    found: list[tuple[tuple[str, str], Completion]] = []
    seen: set[str] = set()
    for item in map(_dict, items):
        if _list(item.get("additionalTextEdits")):
            continue
        made = _completion(item, line, begin)
        if made is not None and made.text not in seen:
            seen.add(made.text)
            found.append(((_text(item.get("sortText")), made.text.lower()), made))
    found.sort(key=lambda pair: pair[0])
    return [each for _, each in found]


def _completion(item: dict[str, Any], line: str, begin: int) -> Completion | None:
    label = _text(item.get("label"))
    edit = _dict(item.get("textEdit"))
    text = _text(edit.get("newText")) or _text(item.get("insertText")) or label
    if item.get("insertTextFormat") == 2:
        text = _PLACEHOLDER.sub(lambda match: match[1] or "", text)
    if not text or "\n" in text:
        return None
    if edit:
        place = _dict(edit.get("range")) or _dict(edit.get("insert"))
        start = to_column(line, _position(place.get("start")).column)
        if start != begin:
            return None
    kind = _KINDS.get(_number(item.get("kind")), "text")
    if text.endswith("!"):
        kind = "macro"
    details = _dict(item.get("labelDetails"))
    detail = _text(item.get("detail")) or _text(details.get("description"))
    return Completion(text, kind, begin, detail)


def word_start(line: str, column: int) -> int:
    """Where the word begins that ends before ``column``; ``column`` where there is none."""
    at = min(column, len(line))
    while at and (line[at - 1].isalnum() or line[at - 1] == "_"):
        at -= 1
    return at


def fitting(found: list[Completion], begun: str) -> list[Completion]:
    """Those that begin as ``begun`` does; where none does, those that have it somewhere."""
    if not begun:
        return found
    small = begun.lower()
    return [each for each in found if each.text.lower().startswith(small)] or [
        each for each in found if small in each.text.lower()
    ]


def hover(answer: object) -> str:
    """Of ``textDocument/hover``: Markdown, empty where there is nothing to say."""
    contents = _dict(answer).get("contents")
    if isinstance(contents, list):
        return "\n\n".join(filter(None, map(_words, contents)))
    return _words(contents)


def signature(answer: object) -> Signature | None:
    """Of ``textDocument/signatureHelp``: the function that is being called, if one is."""
    found = _list(_dict(answer).get("signatures"))
    chosen = _number(_dict(answer).get("activeSignature"))
    if not found:
        return None
    one = _dict(found[min(chosen, len(found) - 1)])
    label = _text(one.get("label"))
    if not label:
        return None
    active = one.get("activeParameter", _dict(answer).get("activeParameter"))
    parameters = tuple(_parameters(label, _list(one.get("parameters"))))
    known = isinstance(active, int) and 0 <= active < len(parameters)
    return Signature(label, parameters, active if known else None, _words(one.get("documentation")))


def _parameters(label: str, parameters: list[Any]) -> Iterator[str]:
    for parameter in parameters:
        where = _dict(parameter).get("label")
        if isinstance(where, str):
            yield where
        elif isinstance(where, list) and len(where) == 2:
            start, end = (to_column(label, _number(each)) for each in where)
            yield label[start:end]


def hints(answer: object) -> list[Hint]:
    """Of ``textDocument/diagnostic``: the messages about a document, in its order."""
    found = []
    for item in map(_dict, _list(_dict(answer).get("items"))):
        place = _dict(item.get("range"))
        code = item.get("code")
        found.append(
            Hint(
                _position(place.get("start")),
                _position(place.get("end")),
                _LEVELS.get(_number(item.get("severity")), "error"),
                str(code) if isinstance(code, str | int) else "",
                _text(item.get("message")),
            )
        )
    return sorted(found, key=lambda hint: (hint.start, hint.end))


def moved(hint: Hint, where: Callable[[Position], Position]) -> Hint:
    """The message with its places as ``where`` gives them."""
    return replace(hint, start=where(hint.start), end=where(hint.end))


def link(answer: object) -> str:
    """Of ``experimental/externalDocs``: the address of the item's page, if it is on the web."""
    address = _text(answer) or _text(_dict(answer).get("web"))
    return address if address.startswith("https://") else ""
