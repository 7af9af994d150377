"""Styles of panels in the elements themselves; no line that Markdown takes for a block's end."""

from __future__ import annotations

import re

from kernellab.pane.bugcheck import render_bugcheck
from kernellab.pane.standalone import not_empty, standalone
from kernellab.protocol import BugcheckEvent, Frame


def test_rules_of_classes_and_places() -> None:
    box = '<div class="kernellab-errors kl-box kl-error"><pre>a</pre></div>'
    made = standalone(box)
    assert made.startswith(
        '<div class="kernellab-errors" style="border-left:4px solid;padding:4px 12px;margin:6px 0;'
        'border-color:#c62828"><pre style="font:12px/1.45'
    )
    assert standalone('<div class="kl-rule"><div>a</div></div>') == (
        '<div><div style="margin-top:6px">a</div></div>'
    )
    # Not the child's child, and not what follows.
    assert standalone('<div class="kl-rule"><b><div>a</div></b></div><div>b</div>') == (
        "<div><b><div>a</div></b></div><div>b</div>"
    )
    assert standalone("<p>a</p>") == "<p>a</p>"


def test_an_elements_own_style_comes_last() -> None:
    made = standalone('<details class="x" style="color:red" open>y</details>')
    assert made == '<details class="x" open style="margin-top:4px;color:red">y</details>'


def test_text_stays_as_it_is() -> None:
    text = "&lt;div class=&quot;kl-box&quot;&gt; a &lt; b &amp;amp; \u2039U+202E\u203a"
    assert standalone(f"<p>{text}</p>") == f"<p>{text}</p>"


def test_a_bug_check_has_no_class_left_that_needs_a_style_sheet() -> None:
    event = BugcheckEvent(
        driver="hello", code="0x7e", name="X", parameters=("0x1",), frames=(Frame("m", "f"),),
        registers={"rax": "0x1"}, disassembly=("→ +0x1  nop",),
    )  # fmt: skip
    made = standalone(render_bugcheck(event, "a\nb"))
    assert "kl-" not in made
    assert re.search(r'<div style="background:#0a50a1;color:#fff;padding:10px 16px">', made)
    assert '<code style="background:none;color:#fff">' in made


def test_no_line_is_empty() -> None:
    assert not_empty("<pre>a\n\n  \nb</pre>\n") == "<pre>a\n&#32;\n&#32;\nb</pre>\n&#32;"
    assert not_empty("") == ""
