"""The compiler's suggestions as changes of the user's source: for a button, and as diffs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

from .text import CELL, Source, one_line, printable, text_of

#: rustc's "applicability" to what is said of the change (The rustc book, "JSON Output").
_CERTAIN: Final = "MachineApplicable"
_DOUBTS: Final = {"HasPlaceholders": "has places to fill in"}
_DOUBT: Final = "may need a change"

#: Characters before an edit that say whether its line is still the one that was meant.
_BEFORE: Final = 200

#: Characters of a title, and lines of a diff.
_TITLE, _LINES = 120, 24


@dataclass(frozen=True, slots=True)
class Fix:
    """One change: ``edits`` of ``file`` (None: the cell), as static/cells.js takes them.

    Each has what stands ``before`` it in its line, so that a place that has moved is found out.

    ``certain``: the compiler vouches for it; else ``doubt`` says why not. ``diff`` is what it does,
    a line each, marked ``-`` or ``+``; ``shown``: the message shows that by itself. ``of`` numbers
    the message that it belongs to.
    """

    title: str
    file: str | None
    edits: tuple[dict[str, Any], ...]
    certain: bool
    doubt: str
    diff: tuple[str, ...]
    of: int = 0
    shown: bool = False

    def state(self) -> dict[str, Any]:
        """For the front end."""
        names = ("title", "file", "certain", "doubt", "of", "shown")
        plain: dict[str, Any] = {name: getattr(self, name) for name in names}
        return {**plain, "edits": list(self.edits), "diff": list(self.diff)}


def fixes_of(diagnostic: Any, source: Source, of: int = 0) -> list[Fix]:
    """The changes that ``diagnostic`` proposes of what is in ``source``."""
    suggestions = getattr(diagnostic, "suggestions", ())
    found: list[Fix] = []
    for _, group in groupby(suggestions, key=lambda each: each.group):
        parts = list(group)
        fix = _fix(parts, source, of)
        if fix is not None and all(fix.edits != other.edits for other in found):
            text = str(getattr(diagnostic, "text", ""))
            found.append(replace(fix, shown=f"help: {parts[0].message}\n" in text))
    return found


def _fix(parts: Sequence[Any], source: Source, of: int) -> Fix | None:
    file = parts[0].file
    text = text_of(source, file)
    if text is None or any(part.file != file for part in parts):
        return None
    lines = text.split("\n")
    edits = []
    for part in parts:
        expected = _between(lines, part)
        if expected is None:
            return None
        edits.append(
            {
                "line": part.line,
                "column": part.column,
                "end_line": part.end_line,
                "end_column": part.end_column,
                "text": part.replacement,
                "expected": expected,
                "before": lines[part.line - 1][: part.column - 1][-_BEFORE:],
            }
        )
    doubt = _DOUBTS.get(parts[0].applicability, _DOUBT)
    certain = parts[0].applicability == _CERTAIN
    return Fix(
        title=_title(parts),
        file=None if file == CELL else file,
        edits=tuple(edits),
        certain=certain,
        doubt="" if certain else doubt,
        diff=tuple(_diff(text, edits)),
        of=of,
    )


def _title(parts: Sequence[Any]) -> str:
    title = one_line(parts[0].message)
    new = one_line(parts[0].replacement)
    if len(parts) == 1 and new and f"`{new}`" not in title:
        title += f": `{new}`"
    return title if len(title) <= _TITLE else title[:_TITLE] + "…"


def _between(lines: Sequence[str], part: Any) -> str | None:
    """What stands in the part's span; None where the source has no such place."""
    begin, end = (part.line, part.column), (part.end_line, part.end_column)
    if not (1 <= part.line <= part.end_line <= len(lines) and begin <= end):
        return None
    if part.column > len(lines[part.line - 1]) + 1 or part.end_column > len(lines[end[0] - 1]) + 1:
        return None
    inside = list(lines[part.line - 1 : part.end_line])
    inside[-1] = inside[-1][: part.end_column - 1]
    inside[0] = inside[0][part.column - 1 :]
    return "\n".join(inside)


def applied(text: str, edits: Iterable[dict[str, Any]]) -> str:
    """``text`` after all of ``edits``."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    spans = sorted(
        (
            starts[each["line"] - 1] + each["column"] - 1,
            starts[each["end_line"] - 1] + each["end_column"] - 1,
            each["text"],
        )
        for each in edits
    )
    for begin, end, new in reversed(spans):
        text = text[:begin] + new + text[end:]
    return text


def _diff(text: str, edits: Sequence[dict[str, Any]]) -> list[str]:
    """The lines that go, marked ``-``, and those that come, marked ``+``."""
    old, new = text.split("\n"), applied(text, edits).split("\n")
    out = []
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            out += [f"- {_line(line)}" for line in old[a:b]]
            out += [f"+ {_line(line)}" for line in new[c:d]]
    return out[:_LINES]


def _line(line: str) -> str:
    return printable(line).rstrip()[:200]


def diff_text(diagnostic: Any, source: Source) -> str:
    """The changes as text that the compiler's own layout does not show already."""
    found = fixes_of(diagnostic, source)
    return "\n".join("\n".join(fix.diff) for fix in found if not fix.shown)
