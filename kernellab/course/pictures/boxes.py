"""Drawings of lessons: boxes, who says what to whom, a number's bits, a file's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from .style import COLOURS, INK, Picture, drawn, label

#: Pixels that a character of the drawings' text takes at most, at 13 pixels' height.
_WIDE: Final = 8.0


def chain(boxes: Sequence[tuple[str, str]], *, above: Sequence[str] = ()) -> Picture:
    """Boxes from left to right, an arrow from each to the next.

    A box is its text and a word on what it is, below; ``above`` are the arrows' texts.
    """
    widths = [max(len(text) * _WIDE + 20, len(below) * 6.5) for text, below in boxes]
    gaps = [max(44.0, len(text) * 6.5 + 24) for text in [*above, *[""] * len(boxes)]]
    parts, x, starts = [], 8.0, []
    for (text, below), width, gap in zip(boxes, widths, gaps, strict=False):
        starts.append((x, x + width))
        parts.append(
            f'<rect x="{x:.0f}" y="26" width="{width:.0f}" height="34" rx="4" fill="none"'
            f' stroke="{INK}"/>'
        )
        parts.append(label(x + width / 2, 48, text, mono=True))
        parts.append(label(x + width / 2, 78, below, size=11))
        x += width + gap
    for index, ((_, end), (begin, _)) in enumerate(pairwise(starts)):
        parts.append(_arrow(end + 3, 43, begin - 3, 43))
        if index < len(above):
            parts.append(label((end + begin) / 2, 34, above[index], size=11))
    alt = " → ".join(text for text, _ in boxes)
    return drawn(x - gaps[len(boxes) - 1] + 8, 90, parts, alt)


def sequence(actors: Sequence[str], steps: Sequence[tuple[str, str, str]]) -> Picture:
    """Who says what to whom, from top to bottom: each step is (from, to, what).

    A step from an actor to itself is something that it does.
    """
    longest = max((len(what) for _, _, what in steps), default=10)
    column = max(170.0, longest * 6.9 + 26)
    at = {name: 80 + index * column for index, name in enumerate(actors)}
    bottom = 56 + 30 * len(steps)
    parts = []
    for name, x in at.items():
        parts.append(label(x, 22, name, bold=True))
        parts.append(
            f'<line x1="{x:.0f}" y1="32" x2="{x:.0f}" y2="{bottom}" stroke="{INK}"'
            ' stroke-opacity=".4" stroke-dasharray="4 4"/>'
        )
    for index, (start, end, what) in enumerate(steps):
        y, a, b = 62 + 30 * index, at[start], at[end]
        if start == end:
            parts.append(f'<circle cx="{a:.0f}" cy="{y - 4}" r="4" fill="{COLOURS[0]}"/>')
            parts.append(label(a + 12, y, what, size=12, anchor="start", mono=True))
            continue
        back = list(actors).index(end) < list(actors).index(start)
        side = 4 if b > a else -4
        parts.append(_arrow(a + side, y, b - side, y, dashed=back))
        parts.append(label((a + b) / 2, y - 6, what, size=12, mono=True))
    alt = "; ".join(
        f"{start}: {what}" if start == end else f"{start} → {end}: {what}"
        for start, end, what in steps
    )
    own = any(start == end == actors[-1] for start, end, _ in steps)
    width = at[actors[-1]] + (longest * 7.4 + 24 if own else 90)
    return drawn(width, bottom + 8, parts, alt)


def bits(value: int, fields: Sequence[tuple[str, int, int]], *, width: int = 32) -> Picture:
    """A number's bits, the highest first, and its fields: each is (name, highest, lowest)."""
    cell, left, bottom = 21, 10, 0
    parts = []
    for bit in range(width):
        x = left + (width - 1 - bit) * cell
        parts.append(
            f'<rect x="{x}" y="24" width="{cell}" height="26" fill="none" stroke="{INK}"'
            ' stroke-opacity=".35"/>'
        )
        one = bool(value >> bit & 1)
        parts.append(label(x + cell / 2, 42, "1" if one else "0", mono=True, bold=one))
    for index, (name, high, low) in enumerate(fields):
        x1, x2 = left + (width - 1 - high) * cell, left + (width - low) * cell
        parts.append(
            f'<rect x="{x1}" y="24" width="{x2 - x1}" height="26" fill="none"'
            f' stroke="{COLOURS[0]}" stroke-width="2"/>'
        )
        parts.append(label(x1 + cell / 2, 16, str(high), size=10))
        if low != high:
            parts.append(label(x2 - cell / 2, 16, str(low), size=10))
        number = value >> low & ((1 << high - low + 1) - 1)
        # Narrow fields' names would run into each other: every other one is lower.
        y = 68 + (34 if (x2 - x1) < len(name) * 7 and index % 2 else 0)
        parts.append(label((x1 + x2) / 2, y, name, size=12))
        parts.append(label((x1 + x2) / 2, y + 15, f"{number:#x}", size=12, mono=True))
        bottom = max(bottom, y + 25)
    alt = f"{value:#0{width // 4 + 2}x}: " + ", ".join(
        f"{name} (bits {high} to {low}) {value >> low & ((1 << high - low + 1) - 1):#x}"
        for name, high, low in fields
    )
    return drawn(2 * left + width * cell, bottom, parts, alt)


def strip(parts: Sequence[tuple[int, str]], marks: Sequence[tuple[int, str]] = ()) -> Picture:
    """Bytes one behind the other: each part is (how many, what they are), each mark (at, text).

    A part is as wide as it is long, but not narrower than its text.
    """
    cell = 640 / (sum(size for size, _ in parts) or 1)
    edges, ends, boxes = [14.0], [0], []
    for index, (size, text) in enumerate(parts):
        x, width = edges[-1], max(size * cell, len(text) * _WIDE + 6)
        boxes.append(
            f'<rect x="{x:.1f}" y="10" width="{width:.1f}" height="34" stroke="{INK}"'
            f' fill="{COLOURS[index % 2]}" fill-opacity="{(0.35, 0.15)[index % 2]}"/>'
        )
        boxes.append(label(x + width / 2, 32, text, mono=True))
        edges.append(x + width)
        ends.append(ends[-1] + size)
    for place, text in marks:
        part = max(index for index, begin in enumerate(ends) if begin <= place)
        x = edges[part]
        if part < len(parts) and place > ends[part]:
            x += (edges[part + 1] - x) * (place - ends[part]) / (ends[part + 1] - ends[part])
        boxes.append(f'<path d="M{x:.1f} 46 l-4 8 h8 z" fill="{INK}"/>')
        boxes.append(label(x, 68, text, size=11))
    alt = ", ".join(f"{text} ({size} bytes)" for size, text in parts)
    return drawn(edges[-1] + 44, 76 if marks else 54, boxes, alt)


def _arrow(x1: float, y1: float, x2: float, y2: float, *, dashed: bool = False) -> str:
    side = -6 if x2 > x1 else 6
    dash = ' stroke-dasharray="5 3"' if dashed else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1}" x2="{x2:.1f}" y2="{y2}" stroke="{INK}"{dash}/>'
        f'<path d="M{x2:.1f} {y2} l{side} -4 v8 z" fill="{INK}"/>'
    )
