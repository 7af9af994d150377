"""Terminal colours to plain text and to HTML that fits any theme."""

from __future__ import annotations

import html
import re
from typing import Final

# Control sequences (ECMA-48): CSI … final byte, OSC … BEL or ST, and two-byte escapes.
_ESCAPE: Final = re.compile(
    r"\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]|\x1b"
)

#: Colour number (0 to 7; bright ones are folded onto these) to its name in ``ansi-NAME-fg``,
#: JupyterLab's own classes, and the theme's variable with a colour that reads on both grounds.
_COLOURS: Final = {
    1: ("red", "var(--jp-error-color1, #d0312d)"),
    2: ("green", "var(--jp-success-color1, #2e8b3d)"),
    3: ("yellow", "var(--jp-warn-color1, #b06f00)"),
    4: ("blue", "var(--jp-brand-color1, #3b78d8)"),
    5: ("magenta", "var(--jp-accent-color1, #a04fb0)"),
    6: ("cyan", "var(--jp-info-color1, #0a8a9a)"),
}


def strip(text: str) -> str:
    """``text`` without any control sequence."""
    return _ESCAPE.sub("", text)


def to_html(text: str) -> str:
    """``text`` as HTML in a ``<pre>``: colours and bold kept, everything else escaped."""
    parts: list[str] = []
    bold, colour, at = False, 0, 0
    for match in _ESCAPE.finditer(text):
        _append(parts, text[at : match.start()], bold, colour)
        at = match.end()
        if match[2] == "m":
            bold, colour = _graphics(match[1], bold, colour)
    _append(parts, text[at:], bold, colour)
    return f'<pre class="kernellab-diagnostic">{"".join(parts)}</pre>'


def _append(parts: list[str], text: str, bold: bool, colour: int) -> None:
    if not text:
        return
    escaped = html.escape(text)
    name, value = _COLOURS.get(colour, ("", ""))
    classes = " ".join(filter(None, ("ansi-bold" if bold else "", name and f"ansi-{name}-fg")))
    style = ";".join(filter(None, ("font-weight:bold" if bold else "", value and f"color:{value}")))
    if classes:
        escaped = f'<span class="{classes}" style="{style}">{escaped}</span>'
    parts.append(escaped)


def _graphics(parameters: str, bold: bool, colour: int) -> tuple[bool, int]:
    """SGR: the parameters of ``ESC [ … m`` applied to what holds."""
    numbers = [int(n) if n.isdigit() else 0 for n in parameters.split(";")]
    while numbers:
        number = numbers.pop(0)
        if number == 0:
            bold, colour = False, 0
        elif number == 1:
            bold = True
        elif number == 22:
            bold = False
        elif 30 <= number <= 37 or 90 <= number <= 97:
            colour = number % 10
        elif number == 39:
            colour = 0
        elif number in (38, 48):
            wanted = numbers[1:2] if numbers[:1] == [5] else []
            del numbers[: 2 if numbers[:1] == [5] else 4]
            if number == 38 and wanted:
                colour = _of_256(wanted[0])
    return bold, colour


def _of_256(number: int) -> int:
    if number < 16:
        return number % 8
    if number > 231:
        return 0
    # The 6x6x6 cube: each channel on or off.
    cube = number - 16
    red, green, blue = cube // 36, cube // 6 % 6, cube % 6
    top = max(red, green, blue, 1)
    return sum(bit for bit, part in ((1, red), (2, green), (4, blue)) if part * 2 > top) % 7
