"""Each bug check that sim raises is explained: its usual cause, its parameters, what to read."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import kernellab
from kernellab import ntdata
from kernellab.pane.bugcheck import render_bugcheck
from kernellab.pane.code_kinds import KINDS
from kernellab.pane.codes import explain, lesson, meanings, page
from kernellab.pane.text import bugcheck_text
from kernellab.protocol import BugcheckEvent, Frame, RelatedStack

SIM = Path(kernellab.__file__).parent / "target" / "sim"
EVENT = BugcheckEvent(
    code="0xC2",
    name="BAD_POOL_CALLER",
    message="100 bytes of pool with tag 'Test' were freed twice.",
    parameters=("0x7", "0x0", "0x0", "0xffff"),
    frames=(Frame(function="a", file="cell", line=2),),
    related=(RelatedStack("allocated here", (Frame(function="b", file="cell", line=1),)),),
)


def _raised() -> list[tuple[str, list[ast.expr], ast.Call]]:
    """Each place in sim that raises a bug check by name: its arguments, and the call."""
    helpers = {"misused": "DRIVER_VERIFIER_DETECTED_VIOLATION", "_misuse": "SYSTEM_PTE_MISUSE"}
    found = []
    for path in SIM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            arguments: list[ast.expr] = []
            for each in node.args:
                inner = each.value if isinstance(each, ast.Starred) else each
                arguments += inner.elts if isinstance(inner, ast.Tuple) else [inner]
            name = helpers.get(node.func.id, "")
            if node.func.id == "BugCheck" and isinstance(arguments[0], ast.Constant):
                name, arguments = str(arguments[0].value), arguments[1:]
            if name:
                found.append((name, arguments, node))
    return found


def test_each_bug_check_of_the_simulator_is_explained() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in SIM.rglob("*.py"))
    known = set(re.findall(r'"([A-Z][A-Z_0-9]{8,})"', text))
    names = [n for n in known if not n.startswith("STATUS_") and _code(n)]
    assert len(names) > 40
    for name in names:
        code = hex(_code(name))
        found = explain(code)
        assert found is not None and found.cause.endswith("."), name
        assert page(code, name).endswith(name) and lesson(code), name
        named = meanings(code, ("0xfffffff0",) * 4)
        assert len(named) == 4 and all(named), name


def test_each_place_that_raises_one_has_a_sentence() -> None:
    places = _raised()
    assert len(places) > 80
    for name, _, call in places:
        by_name = any(word.arg == "message" for word in call.keywords)
        assert by_name or ast.unparse(call.func) == "_misuse", (name, call.lineno)


def test_each_kind_that_the_simulator_raises_has_its_own_meanings() -> None:
    checked = 0
    for name, arguments, call in _raised():
        chooser, rows = KINDS.get(_code(name), (0, {}))
        if not chooser or len(arguments) < chooser:
            continue
        value = arguments[chooser - 1]
        if isinstance(value, ast.Constant):
            assert value.value in rows, (name, value.value, call.lineno)
            checked += 1
    assert checked > 30


def test_the_kind_says_what_the_others_are() -> None:
    wrong_tag = meanings("0xC2", ("0xa", "0x1000", "0x41", "0x42"))
    assert wrong_tag[0] == "freed with a wrong tag" and wrong_tag[3] == "tag given"
    behind = meanings("0xC1", ("0x1000", "0x1010", "0x0", "0x24"))
    assert behind[3].startswith("bytes behind") and behind[0] == "address freed"
    assert meanings("0xC4", ("0x30", "0x2", "0x1", "0x0"))[1:3] == (
        "current IRQL",
        "IRQL asked for",
    )
    assert meanings("0xC4", ("0x15", "0x1000", "0x0", "0x2000"))[:2] == (
        "freed memory holds an active timer",
        "the timer",
    )
    assert meanings("0xC4", ("0x17", "0x1000", "0x0", "0x2000"))[1] == "the resource"
    panic = meanings("0xE2", ("0x52555354", "0x1000", "0x4", "0x90000000b"))
    assert panic[0] == "the letters RUST: a panic" and panic[3].startswith("column, line")
    assert meanings("0xC4", ("0xeeee", "0x0", "0x0", "0x0"))[0] == "which check"
    assert meanings("0xC4", ("what?",)) == ("which check",)
    assert meanings("0xC1", ("0x1",)) == ("address freed, or the IRQL",)


def _code(name: str) -> int:
    try:
        return ntdata.bugcheck_code(name)
    except KeyError:
        return 0


def test_reports_name_cause_parameters_and_page() -> None:
    log = ["the line before", "the last line"]
    text = bugcheck_text(EVENT, log=log)
    html = render_bugcheck(EVENT, log=log)
    for report in (text, html):
        order = ["were freed twice", "allocated here", "Pool was freed wrongly", "0xC2: BAD_POOL"]
        assert sorted(order, key=report.index) == order
        assert "freed already" in report
        assert "the last line" in report
    assert "allocated here (line 1)" in html


def test_what_is_not_known_is_not_explained() -> None:
    assert explain("0xdead") is None and explain("what?") is None
    assert page("0xdead", "X") == ""
    assert meanings("0xdead", ("0x1", "0x2")) == ("", "")
    assert "usual cause" not in bugcheck_text(BugcheckEvent(code="0xdead", name="X"))
