"""Violations, compiler messages and time-outs as static HTML."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kernellab.pane.reports import (
    MOST,
    MOST_CHARACTERS,
    render_diagnostics,
    render_stop,
    render_violations,
)
from kernellab.protocol import ErrorEvent, Frame, Violation
from tests.pane.helpers import HOSTILE, harmless

CELL = "%%rustdriver leaky\nfn a() {}\nforget(x);\n"
OWN = Frame(function="init", file="cell", line=3)
POOL = Frame(function="allocate", file="windows-kernel-rs/src/pool.rs", line=86)


@dataclass
class Message:
    level: str
    text: str = "text"
    html: str = ""


def test_a_violation_names_rule_message_and_line() -> None:
    html = render_violations(
        [Violation(rule="leak-pool", message="40 B", frames=(POOL, OWN))], CELL
    )
    assert "The verifier found a mistake" in html
    assert "<code>leak-pool</code>: 40 B" in html
    assert "Line 3 of your cell" in html and "→ 3 │ forget(x);" in html
    assert "<details><summary>Call stack</summary>" in html
    assert "⚠" in html and 'role="group"' in html


def test_violations_are_capped_with_a_note() -> None:
    html = render_violations([Violation(rule="r", message=f"m{n}") for n in range(MOST + 7)])
    assert f"The verifier found {MOST + 7} mistakes" in html
    assert f"m{MOST - 1}<" in html and f"m{MOST}<" not in html
    assert "… and 7 more" in html
    assert render_violations([]) == ""


def test_errors_are_open_and_warnings_folded() -> None:
    html = render_diagnostics([Message("warning", "careful"), Message("error", "wrong")])
    errors, warnings = html.split('<details class="kernellab-warnings"')
    assert "✖ 1 error<" in errors and "wrong" in errors and "careful" not in errors
    assert "⚠ 1 warning<" in warnings and "careful" in warnings
    assert " open" not in warnings
    assert "2 errors" in render_diagnostics([Message("error")] * 2)
    assert render_diagnostics([]) == ""


def test_the_compilers_own_layout_is_kept_in_columns() -> None:
    html = render_diagnostics([Message("error", html='<pre class="x">a\n  |\n\n\n</pre>')])
    assert "monospace" in html
    assert 'class="x">a\n  |</pre>' in html


@pytest.mark.parametrize("size", [10, MOST_CHARACTERS // 3])
def test_messages_are_capped_with_a_note(size: int) -> None:
    html = render_diagnostics([Message("error", "x" * size)] * 200)
    assert len(html) < 2 * MOST_CHARACTERS
    assert "200 errors" in html
    shown = html.count("<pre")
    assert 0 < shown <= MOST
    assert f"… and {200 - shown} more" in html


def test_a_time_out_shows_the_looping_line() -> None:
    html = render_stop(ErrorEvent(error="timeout", message="10 s", frames=(POOL, OWN)), CELL)
    assert "✖ Time ran out while this ran" in html
    assert "→ 3 │ forget(x);" in html
    assert "--timeout" in html
    html = render_stop(ErrorEvent(error="interrupted", frames=(POOL,)), CELL)
    assert "✖ You stopped it while this ran" in html
    assert "of your cell" not in html and "--timeout" not in html


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text(hostile: str) -> None:
    frame = Frame(module=hostile, function=hostile, file="cell", line=1)
    violation = Violation(rule=hostile, message=hostile, frames=(frame,))
    harmless(render_violations([violation], hostile), html=True)
    harmless(render_diagnostics([Message("error", hostile), Message(hostile, hostile)]), html=True)
    stop = ErrorEvent(error=hostile, message=hostile, frames=(frame,))
    harmless(render_stop(stop, hostile), html=True)
