"""The compiler's suggestions as changes: what is replaced by what, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from kernellab.build.diagnostics import Diagnostic, Suggestion, from_compiler
from kernellab.pane.fixes import applied, diff_text, fixes_of
from kernellab.pane.log import LogPane
from tests.pane.helpers import HOSTILE, FrontEnd, harmless, until

CELL = "%%rustdriver x\nfn a() {\n    let ü = f(x);\n}\n"


def span(line: int, column: int, end: int, new: str, certain: bool = True) -> dict[str, Any]:
    return {
        "file_name": "cell", "line_start": line, "line_end": line, "column_start": column,
        "column_end": end, "is_primary": True, "suggested_replacement": new,
        "suggestion_applicability": "MachineApplicable" if certain else "MaybeIncorrect",
    }  # fmt: skip


def message(*helps: tuple[str, list[dict[str, Any]]]) -> Diagnostic:
    children = [{"message": words, "spans": spans, "level": "help"} for words, spans in helps]
    place = {k: v for k, v in span(3, 5, 6, "").items() if k != "suggested_replacement"}
    plain = {"level": "error", "message": "m", "spans": [place], "children": children}
    (made,) = from_compiler({**plain, "rendered": "error: m\n"}, file_name="cell")
    return made


def test_an_insertion() -> None:
    (fix,) = fixes_of(message(("borrow here", [span(3, 15, 15, "&")])), CELL)
    assert (fix.title, fix.file, fix.certain, fix.doubt) == ("borrow here: `&`", None, True, "")
    assert fix.edits == (
        {"line": 3, "column": 15, "end_line": 3, "end_column": 15, "text": "&", "expected": "",
         "before": "    let ü = f("},
    )  # fmt: skip
    assert fix.diff == ("-     let ü = f(x);", "+     let ü = f(&x);")
    assert applied(CELL, fix.edits).split("\n")[2] == "    let ü = f(&x);"


def test_parts_of_one_change_and_alternatives() -> None:
    wrap = [span(3, 13, 13, "Some("), span(3, 17, 17, ")")]
    imports = [span(2, 1, 1, "use a::f;\n", False), span(2, 1, 1, "use b::f;\n", False)]
    both, first, second = fixes_of(message(("wrap it", wrap), ("import one", imports)), CELL)
    assert both.diff == ("-     let ü = f(x);", "+     let ü = Some(f(x));")
    assert (first.diff, second.diff) == (("+ use a::f;",), ("+ use b::f;",))
    assert not first.certain and first.doubt == "may need a change"


def test_what_does_not_fit_the_source_is_not_offered() -> None:
    found = message(("a", [span(30, 1, 1, "x")]), ("b", [span(3, 90, 91, "x")]))
    assert fixes_of(found, CELL) == []
    assert fixes_of(message(("a", [span(3, 5, 5, "x")])), None) == []


def test_a_further_file() -> None:
    change = Suggestion("s", "r", "sub/a.rs", 1, 1, 1, 3, "HasPlaceholders")
    made = Diagnostic("warning", "m", "m", suggestions=(change,))
    (fix,) = fixes_of(made, {"cell": CELL, "sub/a.rs": "ab"})
    assert (fix.file, fix.doubt, fix.edits[0]["expected"]) == (
        "sub/a.rs",
        "has places to fill in",
        "ab",
    )


def test_a_change_that_the_message_does_not_show_is_shown_as_text() -> None:
    change = Suggestion("try", "g", "cell", 3, 13, 3, 14, "MaybeIncorrect")
    within = Diagnostic("error", "m", "3 | f(x)\n  | ^ help: try: `g`\n", suggestions=(change,))
    assert diff_text(within, CELL) == "-     let ü = f(x);\n+     let ü = g(x);"
    below = Diagnostic("error", "m", "help: try\n  |\n3 |  g(x)\n", suggestions=(change,))
    assert diff_text(below, CELL) == ""


def test_the_front_end_gets_the_changes_with_the_panels(front_ends: list[FrontEnd]) -> None:
    pane = LogPane("x", source={"cell": CELL})
    pane.attach()
    pane.set_diagnostics([message(("borrow here", [span(3, 15, 15, "&")]))])
    state = front_ends[-1].state
    until(lambda: state["panels"])
    assert "kernellab-fix-0" in state["panels"][0]
    assert [fix["title"] for fix in state["fixes"]] == ["borrow here: `&`"]
    assert state["fixes"][0]["edits"][0]["text"] == "&"


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_suggestions(hostile: str) -> None:
    change = Suggestion(hostile, hostile, "cell", 2, 1, 2, 1, hostile)
    made = Diagnostic("error", hostile, "m", suggestions=(change,))
    (fix,) = fixes_of(made, CELL)
    for text in (fix.title, fix.doubt, *fix.diff):
        harmless(text)
