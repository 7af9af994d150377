"""Pictures of lessons on requests: what becomes of one, when, and how its data travels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .style import COLOURS, INK, Picture, drawn, label, picture, plot_style

_BLUE, _ORANGE, _GREEN, _PURPLE, _RED = COLOURS
#: Colours of the ways in which a request ends, by a word of what is said of it.
_ENDS: Final = {"answered": _GREEN, "CANCELLED": _ORANGE}


def life_of_a_request() -> Picture:
    """Who owns a request from its beginning to its end."""
    parts = [
        _box(10, 20, 130, "the program", "read(…)"),
        _box(250, 20, 150, "the driver", "Request<Read>", mono=True),
        _box(530, 20, 150, "the queue", "Queue<Read>", mono=True),
        _box(10, 170, 670, "completed", "the program's call returns; there is no request any more"),
        _arrow(140, 45, 250, 45, "IRP_MJ_READ"),
        _arrow(400, 36, 530, 36, "push"),
        _arrow(530, 56, 400, 56, "pop", below=True),
        _down(290, 70, 170, ["complete:", "success or", "an error"], _GREEN, left=True),
        _down(360, 70, 170, ["dropped:", "REQUEST_", "ABORTED"], _RED),
        _down(605, 70, 170, ["cancelled, or", "handle closed:", "CANCELLED"], _ORANGE, left=True),
    ]
    alt = (
        "A read goes from the program to the driver, which owns it as a Request<Read>. It is"
        " completed there, or dropped, which fails it with STATUS_REQUEST_ABORTED, or pushed to a"
        " Queue<Read>, from where it is popped again, or cancelled with STATUS_CANCELLED."
    )
    return drawn(690, 232, parts, alt)


def waiting(requests: Mapping[str, tuple[float, float, str]], title: str) -> Picture:
    """When requests were sent and when they ended, each ``(seconds, seconds, how)`` by name."""
    import matplotlib.pyplot as plt

    plot_style()
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(requests) + 1))
    for row, (sent, ended, how) in enumerate(requests.values()):
        colour = next((c for word, c in _ENDS.items() if word in how), _RED)
        axes.barh(row, (ended - sent) * 1000, left=sent * 1000, height=0.5, color=colour)
        axes.text(ended * 1000 + 6, row, how, va="center", color=colour)
    axes.set_yticks(range(len(requests)), list(requests))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("milliseconds of the machine's time")
    axes.set_xlim(0, 1000 * max(ended for _, ended, _ in requests.values()) * 1.35)
    return picture(figure, title)


def transfer_methods() -> Picture:
    """How the data of a control code gets to a driver, by its transfer method."""
    wide, top, line, low = 176, 62, 132, 176
    parts = [
        label(8, top + 21, "program", anchor="start"),
        label(8, low + 21, "kernel", anchor="start"),
        f'<line x1="8" y1="{line}" x2="{88 + 4 * wide}" y2="{line}" stroke="{INK}"'
        ' stroke-dasharray="6 4" stroke-opacity=".6"/>',
    ]
    columns = (
        ("Buffered", "small data", "one buffer, both ways"),
        ("InDirect", "much to send", "the program's own pages"),
        ("OutDirect", "much to fetch", "the program's own pages"),
        ("Neither", "rarely right", "two numbers"),
    )
    for index, (name, when, below) in enumerate(columns):
        x = 84 + index * wide
        parts += [
            label(x + 76, 20, name, mono=True, bold=True),
            label(x + 76, 37, when, size=11),
            _cell(x, top, 70, "input", INK),
            _cell(x + 82, top, 70, "data" if index in (1, 2) else "output", INK),
            label(x + 76, low + 54, below, size=11),
        ]
        if index == 0:
            parts += [_cell(x, low, 152, "system buffer", _BLUE)]
            parts += [_line(x + 35, top + 32, x + 35, low - 2, _BLUE, "copy")]
            parts += [_line(x + 117, low, x + 117, top + 36, _BLUE, "copy")]
        elif index < 3:
            parts += [_cell(x, low, 70, "copy", _BLUE), _cell(x + 82, low, 70, "mapped", _GREEN)]
            parts += [_line(x + 35, top + 32, x + 35, low - 2, _BLUE, "copy")]
            parts += [_double(x + 117, top + 34, low - 2, _GREEN, "MDL")]
        else:
            parts += [_cell(x, low, 70, "address", _RED), _cell(x + 82, low, 70, "address", _RED)]
            for at in (35, 117):
                parts += [_line(x + at, low, x + at, top + 36, _RED, "?", dashed=True)]
    alt = (
        "Buffered: the I/O manager copies the input to a system buffer and the output back from"
        " it. InDirect and OutDirect: the input is copied, and the pages of the data are"
        " locked and mapped into the kernel by an MDL. Neither: the driver gets two addresses."
    )
    return drawn(84 + 4 * wide, low + 66, parts, alt)


def page_map(frames: Sequence[int]) -> Picture:
    """A buffer's pages in their order, and which page frames of the machine's memory they are."""
    side, left, below = 28.0, 84.0, 122.0
    # One cell a frame; a longer gap is one that is not drawn.
    cells: list[int | None] = []
    for frame in sorted(frames):
        last = cells[-1] if cells else frame - 3
        assert last is not None
        gap = range(last + 1, frame)
        cells += [None] if len(gap) > 3 else list(gap)
        cells.append(frame)
    at = {frame: left + index * side for index, frame in enumerate(cells) if frame is not None}
    parts = [
        label(8, 39, "buffer", anchor="start"),
        label(8, below + 15, "memory", anchor="start"),
    ]
    for index, cell in enumerate(cells):
        x = left + index * side
        if cell is None:
            parts.append(label(x + side / 2, below + 14, "…"))
            continue
        parts.append(_square(x, below, side, _BLUE if cell in frames else ""))
        if cell in frames:
            parts.append(label(x + side / 2, below + 34, str(cell), size=10))
    begin = left + (len(cells) - len(frames)) * side / 2
    for index, frame in enumerate(frames):
        x, to = begin + index * side, at[frame]
        parts.append(_square(x, 24, side, _BLUE))
        parts.append(label(x + side / 2, 39, str(index), size=11))
        parts.append(
            f'<line x1="{x + side / 2}" y1="{24 + side}" x2="{to + side / 2}" y2="{below}"'
            f' stroke="{_BLUE}" stroke-opacity=".7"/>'
        )
    alt = "The buffer's pages, in their order, are the page frames " + ", ".join(map(str, frames))
    return drawn(left + len(cells) * side + 8, below + 46, parts, alt)


def _square(x: float, y: float, side: float, colour: str) -> str:
    fill = f'fill="{colour}" fill-opacity=".2"' if colour else 'fill="none" stroke-opacity=".35"'
    return f'<rect x="{x}" y="{y}" width="{side}" height="{side}" stroke="{colour or INK}" {fill}/>'


def _box(x: float, y: float, width: float, title: str, below: str, *, mono: bool = False) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="50" rx="5" fill="none" stroke="{INK}"/>'
        + label(x + width / 2, y + 21, title, bold=True)
        + label(x + width / 2, y + 39, below, size=12, mono=mono)
    )


def _cell(x: float, y: float, width: float, text: str, colour: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="32" rx="4" fill="{colour}"'
        f' fill-opacity=".14" stroke="{colour}"/>' + label(x + width / 2, y + 21, text, size=12)
    )


def _arrow(x1: float, y1: float, x2: float, y2: float, text: str, *, below: bool = False) -> str:
    side = -7 if x2 > x1 else 7
    return (
        f'<line x1="{x1 - side / 2}" y1="{y1}" x2="{x2 + side / 2}" y2="{y2}" stroke="{INK}"/>'
        f'<path d="M{x2} {y2} l{side} -4 v8 z" fill="{INK}"/>'
        + label((x1 + x2) / 2, y1 + (16 if below else -7), text, size=12, mono=True)
    )


def _down(
    x: float, y1: float, y2: float, lines: Sequence[str], colour: str, *, left: bool = False
) -> str:
    text = "".join(
        label(x + (-9 if left else 9), y1 + 32 + 16 * row, line, size=12, anchor="end" if left else
              "start", colour=colour)
        for row, line in enumerate(lines)
    )  # fmt: skip
    return _line(x, y1, x, y2, colour) + text


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, text: str = "", *, dashed: bool = False
) -> str:
    down = y2 > y1
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2 + (-4 if down else 4)}" stroke="{colour}"'
        f' stroke-width="1.5"{dash}/><path d="M{x2} {y2} l-4 {-7 if down else 7} h8 z"'
        f' fill="{colour}"/>' + label(x1 + 6, (y1 + y2) / 2 - 6, text, size=11, anchor="start")
    )


def _double(x: float, y1: float, y2: float, colour: str, text: str) -> str:
    """The same memory, seen from both sides."""
    return "".join(
        f'<line x1="{at}" y1="{y1}" x2="{at}" y2="{y2}" stroke="{colour}" stroke-width="1.5"/>'
        for at in (x - 2.5, x + 2.5)
    ) + label(x + 8, (y1 + y2) / 2 - 6, text, size=11, anchor="start")
