"""The finished pane without a kernel: HTML and plain text, capped and escaped."""

from __future__ import annotations

import base64
import re

import pytest

from kernellab.pane.log import LogPane
from kernellab.pane.rows import Row
from kernellab.pane.static_view import MAX_HTML, MAX_TEXT, Finished, render_html, render_text
from kernellab.protocol import State
from tests.pane.helpers import HOSTILE, harmless, printed

FINISHED = Finished(
    title="hello",
    state="unloaded",
    timings="build 0.31 s · load 4 ms",
    head=[
        Row("hello from the kernel", 0.000003, component=77),
        Row("low on memory", 0.00001, level=1, component=101),
        Row("x" * 20, 0.00002, component=77),
        Row("y" * 20, 0.00002, continued=True, component=77),
        Row("hello unloaded", 0.00003, kind=1),
    ],
    total=5,
)


def test_a_finished_run_as_text() -> None:
    assert render_text(FINISHED).splitlines() == [
        "hello: unloaded [build 0.31 s · load 4 ms]",
        "hello from the kernel",
        "low on memory",
        "x" * 20 + "y" * 20,
        "— hello unloaded",
    ]


def test_a_finished_run_as_html() -> None:
    html = render_html(FINISHED)
    assert "<strong>■ hello: unloaded</strong>" in html
    assert "    0.000003  hello from the kernel\n" in html
    assert "[WARNING] low on memory" in html
    assert "↳ " + "y" * 20 in html
    assert "<strong>— hello unloaded</strong>" in html
    assert "5 lines" in html
    assert 'role="group" aria-label="Driver hello: unloaded"' in html
    assert "<script" not in html and " on" not in re.sub(r">[^<]*<", "><", html)


@pytest.mark.parametrize(
    ("state", "mark"),
    [("running", "▶"), ("failed", "✖"), ("bug check", "✖"), ("timed out", "✖"), ("gone", "■")],
)
def test_colour_is_never_the_only_sign(state: str, mark: str) -> None:
    html = render_html(Finished(title="hello", state=state, detail="why it is so"))
    assert f"<strong>{mark} hello: {state}. Why it is so</strong>" in html
    assert "0 lines" not in html


def test_a_long_log_is_cut_in_the_middle_with_a_note() -> None:
    pane = LogPane("hello")
    pane.add([printed(f"line {n} {'<' * 60}\n") for n in range(20_000)])
    html, text = pane.html(), pane.text()
    assert len(text) <= MAX_TEXT + 2000
    assert html.count("line ") * 80 <= MAX_HTML + 2000
    for made in (html, text):
        assert "line 0 " in made and "line 19999 " in made and "line 10000 " not in made
        assert re.search(r"… [\d,]+ lines are not kept in the notebook …", made)
    assert "20,000 lines" in html


def test_a_megabyte_line() -> None:
    pane = LogPane("hello")
    pane.add(
        [
            printed("z" * 1_000_000 + "\n"),
            printed("after\n"),
            State(driver="hello", state="unloaded"),
        ]
    )
    assert len(pane.html()) < MAX_HTML * 2
    assert len(pane.text()) < MAX_TEXT * 2
    assert "after" in pane.html() and "after" in pane.text()


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_heads(hostile: str) -> None:
    made = Finished(title=hostile, state=hostile, detail=hostile, pane="x")
    harmless(render_html(made), html=True)
    harmless(render_text(made))


def test_a_panes_own_name_cannot_break_out() -> None:
    html = render_html(Finished(title='"><script>', pane='"><script>'))
    harmless(html, html=True)


def test_a_picture_is_an_image_with_its_words() -> None:
    pane = LogPane("hello")
    assert "<img" not in pane.html()
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><title>&lt;</title></svg>'
    pane.set_picture(svg, 'most called: "DbgPrint" <3')
    html = pane.html()
    found = re.search(r'<img alt="([^"]*)"[^>]* src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert found is not None
    assert base64.b64decode(found[2]).decode() == svg
    assert found[1] == "most called: &quot;DbgPrint&quot; &lt;3"
    assert 'Timeline: most called: "DbgPrint" <3' in pane.text()
