"""Source lines on the left, their instructions on the right: as HTML, and as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import zip_longest
from typing import Final

from ..pane.standalone import not_empty
from ..protocol import Frame
from .code import Instruction, simple_name

#: Columns of the source in the text form.
_WIDTH: Final = 46

#: Source lines without code that are shown before one with.
_GAP: Final = 6


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of source. ``depth`` is 0 for the function's own, more for what was inlined."""

    place: str
    text: str
    depth: int = 0
    code: bool = True


@dataclass(slots=True)
class Block:
    """Instructions that follow each other, and the source they are from."""

    source: list[SourceLine]
    lines: list[str] = field(default_factory=list)


def blocks(
    instructions: Sequence[Instruction],
    name: str,
    crate: str,
    sources: Mapping[str, list[str]],
) -> list[Block]:
    """``instructions`` of the function ``name``, grouped by source line, in order of address."""
    labels = _labels(instructions)
    found: list[Block] = []
    key: object = None
    shown = library = ""
    last, line, end = 0, 0, instructions[0].address if instructions else 0
    for each in instructions:
        own, inner, others = _split(each.frames, name, sources)
        now = (own.line if own else 0, tuple((f.function, f.line) for f in inner))
        if now != key or each.address != end:
            key = now
            repeated = bool(inner) and own is not None and own.line == line
            lines, last = _source(None if repeated else own, inner, crate, sources, last)
            line = own.line if own is not None else 0
            found.append(Block(lines))
            library = ""
        if each.address != end:
            found[-1].lines.append("…")  # code of other functions lies between
        end = each.address + each.size
        shown = _chain([_end(simple_name(f.function, crate)) for f in others])
        if shown != library:
            library = shown
            if shown:
                found[-1].lines.append(f"; {shown}")
        if each.address in labels:
            found[-1].lines.append(f"{labels[each.address]}:")
        found[-1].lines.append(_line(each, labels, crate))
    return found


def _end(name: str) -> str:
    """The last two parts of a long path: ``Iterator::sum``."""
    return name if "<" in name else "::".join(name.split("::")[-2:])


def _chain(names: list[str]) -> str:
    """Who was inlined into whom, outermost first; of a long chain its ends."""
    if len(names) > 4:
        names = [*names[:2], "…", names[-1]]
    return f"inlined: {' › '.join(names)}" if names else ""


def _labels(instructions: Sequence[Instruction]) -> dict[int, str]:
    inside = {each.address for each in instructions}
    targets = {i.target for i in instructions if i.target in inside and i.mnemonic != "call"}
    return {address: f"L{number}" for number, address in enumerate(sorted(targets), 1)}


def _split(
    frames: Sequence[Frame], name: str, sources: Mapping[str, list[str]]
) -> tuple[Frame | None, list[Frame], list[Frame]]:
    """The function's own frame, those inlined into it that have source, and those that have none.

    Outermost first.
    """
    at = next((i for i, f in enumerate(frames) if f.function == name), len(frames) - 1)
    own = frames[at] if frames else None
    inner = [f for f in reversed(frames[:at]) if f.file in sources and f.line]
    others = [f for f in reversed(frames[:at]) if f.file not in sources]
    home = own.file if own is not None else ""
    # The framework's insides are named: only the driver's own lines are worth a look each time.
    named = [f for f in inner if f.file != home and f.file.startswith("windows-kernel-")]
    return own, [f for f in inner if f not in named], [*named, *others]


def _source(
    own: Frame | None,
    inner: Iterable[Frame],
    crate: str,
    sources: Mapping[str, list[str]],
    last: int,
) -> tuple[list[SourceLine], int]:
    lines = []
    if own is not None and own.line:
        # What has no code (comments, braces) is read on the way to the next line.
        first = last + 1 if last and last < own.line <= last + _GAP else own.line
        text = sources.get(own.file, [])
        for number in range(first, own.line + 1):
            words = text[number - 1] if number <= len(text) else ""
            lines.append(SourceLine(f"{own.file}:{number}", words, 0, number == own.line))
        last = max(last, own.line)
    for depth, frame in enumerate(inner, 1):
        text = sources[frame.file]
        words = text[frame.line - 1].strip() if frame.line <= len(text) else ""
        name = simple_name(frame.function, crate)
        lines.append(SourceLine(f"{frame.file}:{frame.line}", f"{name}: {words}", depth))
    return lines, last


def _line(each: Instruction, labels: Mapping[int, str], crate: str) -> str:
    operands, hint = each.operands, each.hint
    if each.target:
        label = labels.get(each.target)
        operands = label or _target(each, crate)
    elif hint and not hint.startswith('"'):
        hint = simple_name(hint, crate)
    text = f"{each.address:6x}  {each.mnemonic:<7} {operands}".rstrip()
    return f"{text:<44}  ; {hint}" if hint else text


def _target(each: Instruction, crate: str) -> str:
    return simple_name(each.goes_to, crate) if each.goes_to else f"{each.target:x}"


def _sides(
    found: Iterable[Block],
) -> Iterator[tuple[list[tuple[str, SourceLine | None]], list[str]]]:
    """Each block's two sides, for both forms: its source, and its instructions.

    Of the source each line is where it is and itself; a file's name without a line is a heading.
    """
    file = ""
    for block in found:
        left: list[tuple[str, SourceLine | None]] = []
        for line in block.source:
            name, _, number = line.place.rpartition(":")
            if name != file and not line.depth:
                left.append((name, None))
                file = name
            left.append((number if name == file else line.place, line))
        yield left, block.lines


def _mark(line: SourceLine) -> str:
    return "  " * line.depth + "↳ " if line.depth else ""


# -- as text --------------------------------------------------------------------------------------


def render_text(found: Sequence[Block]) -> str:
    """Two columns of text."""
    out = []
    for source, code in _sides(found):
        left = [
            where if line is None else f"{where:>4} │ {_mark(line)}{_printable(line.text)}"
            for where, line in source
        ]
        for words, right in zip_longest(left, code, fillvalue=""):
            if len(words) > _WIDTH:
                words = words[: _WIDTH - 1] + "…"
            out.append(f"{words:<{_WIDTH}} {_printable(right)}".rstrip())
    return "\n".join(out) + "\n"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in text)


# -- as HTML --------------------------------------------------------------------------------------

_FONT: Final = "font-family:var(--jp-code-font-family,monospace);font-size:12px;line-height:1.45"
_EDGE: Final = "border-top:1px solid rgba(128,128,128,.3);vertical-align:top;text-align:left"
_INSTRUCTION: Final = re.compile(r"^( *[0-9a-f]+)  (\S+)( .*?)??(  ; .*)?$")


def render_html(title: str, found: Sequence[Block]) -> str:
    """A table that needs no script, for light and dark grounds; it scrolls by itself."""
    rows = []
    for source, code in _sides(found):
        left = [_source_html(where, line) for where, line in source]
        right = "\n".join(map(_code_html, code))
        # Lines also where styles are taken away: a code host.
        cell = f'<td style="{_EDGE};padding:1px 8px"><pre style="font:inherit;margin:0">'
        end = "</pre></td>"
        rows.append(f"<tr>{cell}{chr(10).join(left)}{end}{cell}{right}{end}</tr>")
    head = '<th scope="col" style="text-align:left;padding:1px 8px">'
    return not_empty(
        f'<div role="group" aria-label="{escape(title)}" style="margin:6px 0">'
        f"<div><strong>{escape(title)}</strong></div>"
        f'<div style="overflow:auto;max-height:520px" tabindex="0"><table style="{_FONT};'
        'border-collapse:collapse;margin:4px 0">'
        f"<thead><tr>{head}Source</th>{head}Instructions</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></div>"
    )


def _source_html(where: str, line: SourceLine | None) -> str:
    if line is None:
        return f'<span style="opacity:.7">{escape(where)}</span>'
    place, text = escape(f"{where:>4}"), escape(_printable(line.text))
    if line.depth:
        return f'<span style="opacity:.75">{place} │ {_mark(line)}{text}</span>'
    row = f'<span style="opacity:.6">{place} │ </span>{text}'
    return row if line.code else f'<span style="opacity:.6">{row}</span>'


def _code_html(line: str) -> str:
    match = _INSTRUCTION.match(line)
    if match is None:
        return f'<span style="opacity:.7">{escape(_printable(line))}</span>'
    address, mnemonic, operands, hint = match.groups()
    hint = f'<span style="opacity:.75">{escape(_printable(hint))}</span>' if hint else ""
    return (
        f'<span style="opacity:.6">{address}</span>  <strong>{escape(mnemonic)}</strong>'
        f"{escape(_printable(operands or ''))}{hint}"
    )
