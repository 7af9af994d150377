"""A comparison as text for a terminal, as HTML for a notebook, and as a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Final

from ..pane.standalone import not_empty
from ..pane.text import one_line, printable
from .outcome import Comparison, Row, Side, rows

#: Lines that are the same shown around one that differs.
_AROUND: Final = 3
_RED, _GREEN, _BOLD, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[0m"


def verdict(comparison: Comparison) -> str:
    """The result in one line."""
    names = ", ".join(side.target for side in comparison.sides)
    found = [each.what for each in comparison.differences]
    if not found:
        return f"{comparison.driver}: the same on {names}"
    order = " (the order of its lines alone)" if comparison.only_order else ""
    listed = ", ".join(f"{what}{order if what == 'log' else ''}" for what in found)
    return one_line(f"{comparison.driver}: different on {names}: {listed}")


def as_text(comparison: Comparison, *, colour: bool = False) -> str:
    """The comparison for a terminal; what a driver printed cannot control that."""
    lines = [_in(_BOLD, verdict(comparison), colour)]
    differing = {each.what for each in comparison.differences}
    width = max(len(side.target) for side in comparison.sides)
    for what in comparison.steps():
        results = [(side.target, *_of(side, what)) for side in comparison.sides]
        if what not in differing:
            lines.append(f"  =  {one_line(what)}: {one_line(results[0][1])}")
            continue
        lines.append(f"  ≠  {one_line(what)}:")
        for number, (target, result, detail) in enumerate(results):
            text = f"       {target:{width}}  {one_line(result)}"
            lines.append(_in(_GREEN if number else _RED, text, colour))
            if detail and detail != result:
                lines.append(f"       {'':{width}}  ({one_line(detail)})")
    first, *others = comparison.sides
    for other in others:
        lines += _logs("log", first.target, other.target, first.log, other.log, colour)
        lines += _logs(
            "client's output", first.target, other.target, first.printed, other.printed, colour
        )
    for side in comparison.sides:
        lines += [f"  !  {side.target} alone says: {one_line(note)}" for note in side.notes]
    return "\n".join(lines)


def _logs(
    what: str, one: str, two: str, first: tuple[str, ...], second: tuple[str, ...], colour: bool
) -> Iterator[str]:
    if not first and not second:
        return
    aligned = list(rows(first, second))
    if all(row.same for row in aligned):
        count = f"{len(first)} line{'' if len(first) == 1 else 's'}"
        yield f"  =  {what} of {one} and {two}: {count}"
        return
    yield f"  ≠  {what} of {one} (-) and {two} (+):"
    width = max(len(one), len(two))
    near = {
        n + step
        for n, row in enumerate(aligned)
        if not row.same
        for step in range(-_AROUND, _AROUND + 1)
    }
    shown = [n for n in range(len(aligned)) if n in near]
    for position, n in enumerate(shown):
        if position and shown[position - 1] != n - 1:
            yield f"       {'':{width}}   …"
        yield from _row(aligned[n], one, two, width, colour)


def _row(row: Row, one: str, two: str, width: int, colour: bool) -> Iterator[str]:
    if row.same:
        yield f"       {'':{width}}   {one_line(row.first or '')}".rstrip()
        return
    if row.first is not None:
        yield _in(_RED, f"       {one:{width}} - {one_line(row.first)}", colour)
    if row.second is not None:
        yield _in(_GREEN, f"       {two:{width}} + {one_line(row.second)}", colour)


def _of(side: Side, what: str) -> tuple[str, str]:
    found = next((step for step in side.steps if step.what == what), None)
    return ("not reached", "") if found is None else (found.result, found.detail)


def _in(code: str, text: str, colour: bool) -> str:
    return f"{code}{text}{_PLAIN}" if colour else text


# -- HTML ---------------------------------------------------------------------------------------

_CELL: Final = "text-align:left;vertical-align:top;padding:2px 10px;white-space:pre-wrap"
_OTHER: Final = f"{_CELL};background:rgba(229,160,13,.22)"


def as_html(comparison: Comparison) -> str:
    """Tables side by side: the first has the steps, the second the logs."""
    head = "".join(
        f'<th scope="col" style="{_CELL}">{_text(side.target)}</th>' for side in comparison.sides
    )
    body = []
    differing = {each.what for each in comparison.differences}
    for what in comparison.steps():
        cells = [_cell_text(*_of(side, what)) for side in comparison.sides]
        body.append(_line(what, cells, what not in differing))
    for what in ("log", "client's output"):
        texts = [side.log if what == "log" else side.printed for side in comparison.sides]
        if len(comparison.sides) == 2:
            for number, row in enumerate(rows(texts[0], texts[1])):
                cells = [_text(each or "") for each in (row.first, row.second)]
                body.append(_line("" if number else what, cells, row.same))
        elif any(texts):
            cells = [_text("\n".join(text)) for text in texts]
            body.append(_line(what, cells, what not in differing))
    notes = "".join(
        f"<li>{_text(side.target)} alone says: {_text(note)}</li>"
        for side in comparison.sides
        for note in side.notes
    )
    return not_empty(
        f'<div class="kernellab-comparison" role="group" aria-label="{_text(comparison.driver)}">'
        f"<strong>{_text(verdict(comparison))}</strong>"
        f'<table style="margin:4px 0;text-align:left;border-collapse:collapse"><thead><tr>'
        f'<th></th><th scope="col" style="{_CELL}">what</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table>{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


def as_page(comparison: Comparison) -> str:
    """The same as a page of its own, light or dark as the reader has it."""
    title = _text(verdict(comparison))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>:root{{color-scheme:light dark}}"
        "body{font:14px/1.45 system-ui,sans-serif;margin:2em}td{font-family:ui-monospace,monospace}"
        f"</style></head><body>\n{as_html(comparison)}\n</body></html>\n"
    )


def _line(what: str, cells: list[str], same: bool) -> str:
    mark, label = ("=", "the same") if same else ("≠", "different")
    style = _CELL if same else _OTHER
    row = "".join(f'<td style="{style}">{cell}</td>' for cell in cells)
    return (
        f'<tr><td style="{_CELL}" title="{label}" aria-label="{label}">{mark}</td>'
        f'<th scope="row" style="{_CELL};font-weight:normal">{_text(what)}</th>{row}</tr>'
    )


def _cell_text(result: str, detail: str) -> str:
    more = f'<br><small style="opacity:.8">{_text(detail)}</small>' if detail else ""
    return _text(result) + more


def _text(text: str) -> str:
    return escape(printable(text))
