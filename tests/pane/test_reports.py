"""Violations, compiler messages and time-outs as static HTML."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from kernellab.build.diagnostics import Diagnostic
from kernellab.pane.reports import (
    MOST,
    MOST_CHARACTERS,
    render_build,
    render_diagnostics,
    render_stop,
    render_violations,
)
from kernellab.pane.standalone import standalone
from kernellab.pane.text import violations_text
from kernellab.protocol import ErrorEvent, Frame, Violation
from tests.pane.helpers import HOSTILE, harmless

CELL = "%%rustdriver leaky\nfn a() {}\nforget(x);\n"
OWN = Frame(function="init", file="cell", line=3)
E0308 = Diagnostic("error", "m", "error[E0308]: m\n", "E0308", "cell", 3, 1)
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
    errors, warnings = html.split('<details class="kernellab-warnings')
    assert "✖ 1 error<" in errors and "wrong" in errors and "careful" not in errors
    assert "⚠ 1 warning<" in warnings and "careful" in warnings
    assert " open" not in warnings
    assert "2 errors" in render_diagnostics([Message("error")] * 2)
    assert render_diagnostics([]) == ""


def test_the_compilers_own_layout_is_kept_in_columns() -> None:
    html = render_diagnostics([Message("error", html='<pre class="x">a\n  |\n\n\n</pre>')])
    font = "font:12px/1.45 var(--jp-code-font-family,monospace);white-space:pre;"
    assert f'<pre class="x" style="{font}' in standalone(html)
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


def test_violations_of_one_rule_stand_together_with_what_is_known_of_it() -> None:
    rules = {"leak-pool": ("pool was not <freed>", "Bug Check 0xC4")}
    found = [Violation(rule="leak-pool", message=f"block {n}") for n in range(4)]
    found.insert(1, Violation(rule="irql-too-high", message="at 2"))
    html = render_violations(found, CELL, rules)
    assert "<code>leak-pool ×4</code>: block 0" in html
    assert html.index("block 1") < html.index("2 more of leak-pool") < html.index("block 2")
    assert html.index("block 3") < html.index("pool was not &lt;freed&gt;. To read: Bug Check 0xC4")
    assert html.count("--no-verify leak-pool") == 1 and "--no-verify irql" not in html
    assert "×" not in html.split("irql-too-high")[1]


def test_of_several_errors_the_first_is_open_and_all_are_listed() -> None:
    errors = [replace(E0308, message=f"wrong {n}", line=n) for n in (3, 9)]
    html = render_diagnostics(errors, CELL)
    place = '<span class="kernellab-go">cell:{}</span></summary>'
    assert f"<details open><summary><code>E0308</code> wrong 3 {place.format(3)}" in html
    assert f"<details><summary><code>E0308</code> wrong 9 {place.format(9)}" in html
    assert html.count("%rustc --explain E0308") == 1


def test_places_of_the_users_files_can_be_gone_to() -> None:
    text = "--> cell:7:13, sub/a.rs:2:1; core/cell:9 mycell:1 windows/sub/a.rs:3 cell:x"
    html = render_diagnostics([Message("error", text)], {"cell": CELL, "sub/a.rs": ""})
    assert re.findall(r'kernellab-go">([^<]*)<', html) == ["cell:7:13", "sub/a.rs:2:1"]


def test_a_build_in_one_line_with_what_there_is_to_know_folded() -> None:
    built = {
        "seconds": 0.31, "size": 14336, "pdb_size": 200_000, "sha256": "ab" * 32, "warnings": 1,
        "command": "cargo build --lib --offline", "release": False, "cached": False,
        "crates": [("alloc<x>", 0.0), ("hello", 0.25)],
    }  # fmt: skip
    html = render_build(built)
    assert "<summary>built in 0.31 s · 14 KB · 2 crates</summary>" in html
    for words in ("cargo build --lib", "dev", "14,336 bytes", "hello 0.25 s", "alloc&lt;x&gt;"):
        assert words in html
    assert "built before, found in" in render_build({**built, "cached": True})


def test_the_same_place_is_shown_once() -> None:
    found = [
        Violation(rule="leak-pool", message=f"block {n}", frames=(replace(OWN, address=hex(n)),))
        for n in range(3)
    ]
    html = render_violations(found, CELL)
    assert html.count("Line 3 of your cell") == 1
    assert html.count("(in the same place)") == 2
    first, second, _ = violations_text(found, CELL)
    assert "forget(x);" in first and "forget" not in second
