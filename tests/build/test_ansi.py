"""Colours become HTML for any theme, and nothing else becomes markup."""

from __future__ import annotations

import re

import pytest

from kernellab.build.ansi import strip, to_html

ERROR = (
    "\x1b[1m\x1b[91merror[E0425]\x1b[0m\x1b[1m: no `x`\x1b[0m\n \x1b[38;5;12m-->\x1b[0m cell:2\n"
)


def test_plain_text() -> None:
    assert strip(ERROR) == "error[E0425]: no `x`\n --> cell:2\n"


def test_colours() -> None:
    html = to_html(ERROR)
    assert html.startswith('<pre class="kernellab-diagnostic">') and html.endswith("</pre>")
    assert 'class="ansi-bold ansi-red-fg"' in html
    assert "color:var(--jp-error-color1, #d0312d)" in html
    assert '<span class="ansi-blue-fg"' in html
    assert "--&gt;" in html and "\x1b" not in html


@pytest.mark.parametrize(
    ("sequence", "name"),
    [("31", "red"), ("91", "red"), ("38;5;9", "red"), ("38;5;196", "red"), ("38;5;46", "green"),
     ("1;33", "yellow"), ("38;5;14", "cyan"), ("0;34", "blue"), ("95", "magenta")],
)  # fmt: skip
def test_how_a_colour_is_said(sequence: str, name: str) -> None:
    assert f"ansi-{name}-fg" in to_html(f"\x1b[{sequence}mx\x1b[0m")


@pytest.mark.parametrize(
    "sequence", ["39", "0", "", "38;2;1;2;3", "48;5;9", "37", "38;5;244", "38", "38;5", "9;9;9"]
)
def test_what_is_no_colour_of_ours(sequence: str) -> None:
    assert "<span" not in to_html(f"\x1b[31m\x1b[0m\x1b[{sequence}mx")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "</pre><img src=x onerror=alert(1)>",
        "\x1b[31m<b>\x1b[0m",
        "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
        '" onmouseover="x',
        "\x1b[2J\x1b[H\x1b[?25l\x1bc\x1b",
    ],
)
def test_nothing_of_the_text_is_markup(text: str) -> None:
    html = to_html(text)
    tags = set(re.findall(r"<(/?\w+)", html))
    assert tags <= {"pre", "/pre", "span", "/span"}
    assert "\x1b" not in html and "javascript" not in html
    inside = re.sub(r'<span class="[a-z -]+" style="[^"<>]+">', "<span>", html)
    assert '"' not in inside.removeprefix('<pre class="kernellab-diagnostic">')
