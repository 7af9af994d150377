"""Pictures of lessons on the system: a key of the registry, and who calls a driver and when.

They take the colour of the text around them. JupyterLab shows the type ``image/svg+xml`` as an
image, which has no text around it; hence they are shown as HTML.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from ...system import REGISTRY_TYPES, RegistryKey, decode_value

_FONT: Final = "font-family:var(--jp-ui-font-family,system-ui,sans-serif)"
_MONO: Final = ";font-family:var(--jp-code-font-family,monospace)"
#: What stands out; it can be read on white and on black.
_ACCENT: Final = "#3f83c9"
#: Pixels that a character of monospaced text takes at most, at 13 pixels' height.
_WIDE: Final = 8.0


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing that a notebook shows; ``alt`` says in words what is on it."""

    svg: str
    alt: str

    def _repr_html_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return self.alt


def tree(key: RegistryKey, name: str) -> Drawing:
    """A registry key, its values with their types, and the keys below it."""
    lines = list(_branch(key, name, 0))
    named = [16 + depth * 22 + len(text) * _WIDE for depth, text, _ in lines[1:]]
    column = max(named, default=100.0) + 36
    trunks: dict[int, int] = {}
    parts: list[str] = []
    right = 0.0
    for index, (depth, text, value) in enumerate(lines):
        x, y = 16 + depth * 22, 24 + index * 22
        if depth:
            path = f"M{x - 16} {trunks[depth - 1] + 6} V{y - 4} H{x - 4}"
            parts.append(
                f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity=".45"/>'
            )
        if value is None:
            trunks[depth] = y
        parts.append(_text(x, y, text, bold=value is None))
        right = max(right, x + len(text) * _WIDE)
        for at, word in zip((column, column + 130), value or (), strict=False):
            parts.append(_text(at, y, word, size=12))
            right = max(right, at + len(word) * 7.4)
    alt = "; ".join(" ".join([text, *(value or ())]) for _, text, value in lines)
    return _drawing(right + 12, 16 + 22 * len(lines), parts, alt)


def _branch(
    key: RegistryKey, name: str, depth: int
) -> Iterator[tuple[int, str, tuple[str, str] | None]]:
    """A tree's lines: how deep, the text, and where it is a value its type and data."""
    yield depth, name, None
    for value, raw in key.raw.items():
        data = decode_value(raw)
        kind = REGISTRY_TYPES.get(raw.type, str(raw.type))
        yield depth + 1, value, (kind, data if isinstance(data, str) else repr(data))
    for below in key.subkeys:
        yield from _branch(key / below, below, depth + 1)


def calls(driver: str, rows: Sequence[Sequence[str]]) -> Drawing:
    """Who called a driver, from top to bottom: each row is the caller and what about."""
    callers = list(dict.fromkeys(caller for caller, _ in rows))
    step = max(110.0, *(len(caller) * _WIDE + 28 for caller in callers))
    at = {caller: step / 2 + index * step for index, caller in enumerate(callers)}
    texts = max(len(what) for _, what in rows) * 7.4
    wall = len(callers) * step + max(40.0, texts - step / 2 + 24)
    bottom = 46 + 32 * len(rows)
    parts = []
    for caller, x in at.items():
        parts.append(_text(x, 22, caller, anchor="middle", bold=True))
        parts.append(
            f'<path d="M{x:.0f} 32 V{bottom}" stroke="currentColor" stroke-opacity=".4"'
            ' stroke-dasharray="4 4"/>'
        )
    parts.append(_text(wall + 8, 22, driver, anchor="middle", bold=True))
    parts.append(
        f'<rect x="{wall:.0f}" y="32" width="16" height="{bottom - 32}" rx="3" fill="{_ACCENT}"'
        ' fill-opacity=".25" stroke="currentColor" stroke-opacity=".6"/>'
    )
    for index, (caller, what) in enumerate(rows):
        x, y = at[caller], 62 + 32 * index
        parts.append(f'<circle cx="{x:.0f}" cy="{y}" r="4" fill="currentColor"/>')
        parts.append(
            f'<path d="M{x + 4:.0f} {y} H{wall - 6:.0f}" stroke="currentColor"/>'
            f'<path d="M{wall - 1:.0f} {y} l-7 -4 v8 z" fill="currentColor"/>'
        )
        parts.append(_text(wall - 14, y - 5, what, size=12, anchor="end"))
    alt = "; ".join(f"{caller} calls {driver}: {what}" for caller, what in rows)
    return _drawing(wall + 16 + len(driver) * 4, bottom + 8, parts, alt)


def timeline(lanes: Mapping[str, Sequence[tuple[float, float]]]) -> Drawing:
    """What each lane is busy with, over time: (begin, end) in milliseconds; at least a mark."""
    left = max(len(name) for name in lanes) * _WIDE + 30
    end = max(stop for bars in lanes.values() for _, stop in bars)
    step = next(each for each in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if end / each <= 8)
    scale = 460 / end
    bottom = 22 + 34 * len(lanes)
    parts = []
    for tick in range(0, int(end) + 1, step):
        x = left + tick * scale
        parts.append(
            f'<path d="M{x:.0f} 14 V{bottom}" stroke="currentColor" stroke-opacity=".25"/>'
        )
        parts.append(_text(x, bottom + 18, f"{tick} ms", size=11, anchor="middle"))
    for index, (name, bars) in enumerate(lanes.items()):
        y = 18 + 34 * index
        parts.append(_text(left - 14, y + 17, name, anchor="end"))
        for start, stop in bars:
            width = max((stop - start) * scale - 2, 3)
            parts.append(
                f'<rect x="{left + start * scale:.1f}" y="{y}" width="{width:.1f}" height="24"'
                f' rx="2" fill="{_ACCENT}"/>'
            )
    alt = "; ".join(
        f"{name}: " + ", ".join(f"{start:.0f} to {stop:.0f} ms" for start, stop in bars)
        for name, bars in lanes.items()
    )
    return _drawing(left + 460 + 34, bottom + 28, parts, alt)


def _text(
    x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", bold: bool = False
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}"{weight}'
        f' fill="currentColor" style="stroke:none{_MONO}">{escape(text)}</text>'
    )


def _drawing(width: float, height: float, parts: Sequence[str], alt: str) -> Drawing:
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(alt)}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
        f' style="max-width:100%;height:auto;{_FONT}">{"".join(parts)}</svg>'
    )
    return Drawing(svg, alt)
