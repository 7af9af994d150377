"""Messages about a cell as the front end marks them: lines from 1, UTF-16 columns from 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from .analyzer import Hint, to_utf16

if TYPE_CHECKING:
    from ..build import Diagnostic, Suggestion
    from ..cell.rust_cell import RustCell

#: Most messages that are sent about one cell, and most characters of one.
_MOST: Final = 200
_LONGEST: Final = 4000

_SEVERITIES: Final = {"error": "error", "warning": "warning", "note": "info", "help": "hint"}

#: What rustc is sure of, or nearly: the others have places to fill in.
_APPLICABLE: Final = ("MachineApplicable", "MaybeIncorrect")


def from_compiler(
    found: Sequence[Diagnostic], cell: RustCell, lines: Sequence[str]
) -> list[dict[str, Any]]:
    """The compiler's messages that are about ``cell``, whose lines are ``lines``.

    One without a place is at the magic's line.
    """
    from ..crate import CELL

    own = cell.path or CELL
    return [
        {
            **_span(each.line, each.column, each.end_line, each.end_column, cell, lines),
            "severity": _SEVERITIES.get(each.level, "info"),
            "code": each.code,
            "message": _message(each),
            "fixes": list(_fixes(each.suggestions, own, cell, lines)),
        }
        for each in found
        if each.file == own or (not each.file and own == CELL)
    ][:_MOST]


def _message(diagnostic: Diagnostic) -> str:
    """What it says, also below its place, and what the compiler calls the reason or the way out."""
    label = "" if diagnostic.label in diagnostic.message else diagnostic.label
    more = [
        line.strip().removeprefix("= ")
        for line in diagnostic.text.splitlines()
        if line.lstrip().startswith(("= note: ", "= help: ")) and "#[warn(" not in line
    ]
    return "\n".join(filter(None, [diagnostic.message, label, *more]))[:_LONGEST]


def _fixes(
    suggestions: Sequence[Suggestion], own: str, cell: RustCell, lines: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Parts with the same words next to each other are one change."""
    for title, group in groupby(suggestions, key=lambda each: each.message):
        parts = list(group)
        if any(p.file != own or p.applicability not in _APPLICABLE for p in parts):
            continue
        edits = [
            {
                **_span(p.line, p.column, p.end_line, p.end_column, cell, lines),
                "text": p.replacement,
            }
            for p in parts
        ]
        yield {"title": title, "edits": edits}


def _span(
    line: int, column: int, end_line: int, end_column: int, cell: RustCell, lines: Sequence[str]
) -> dict[str, int]:
    start = _place(max(line, 1), max(column, 1), cell, lines)
    end = max(_place(end_line, max(end_column, 1), cell, lines), start)
    return {"line": start[0], "column": start[1], "end_line": end[0], "end_column": end[1]}


def _place(line: int, column: int, cell: RustCell, lines: Sequence[str]) -> tuple[int, int]:
    row = line + cell.above
    text = lines[row - 1] if 0 < row <= len(lines) else ""
    return row, to_utf16(text, column - 1)


def from_analyzer(found: Sequence[Hint]) -> list[dict[str, Any]]:
    """rust-analyzer's messages, in the same form."""
    return [
        {
            "line": each.start.line + 1,
            "column": each.start.column,
            "end_line": each.end.line + 1,
            "end_column": each.end.column,
            "severity": each.severity,
            "code": each.code,
            "message": each.message[:_LONGEST],
            "fixes": [],
        }
        for each in found[:_MOST]
    ]
