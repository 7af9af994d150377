"""Each bug check that sim raises is explained: its usual cause, its parameters, what to read."""

from __future__ import annotations

import re
from pathlib import Path

import kernellab
from kernellab import ntdata
from kernellab.pane.bugcheck import render_bugcheck
from kernellab.pane.codes import explain, meanings, page
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


def test_each_bug_check_of_the_simulator_is_explained() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in SIM.rglob("*.py"))
    known = set(re.findall(r'"([A-Z][A-Z_0-9]{8,})"', text))
    names = [n for n in known if not n.startswith("STATUS_") and _code(n)]
    assert len(names) > 40
    assert sorted(name for name in names if explain(hex(_code(name))) is None) == []


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
        assert "kind: 7 freed already" in report
        assert "the last line" in report
    assert "allocated here (line 1)" in html


def test_what_is_not_known_is_not_explained() -> None:
    assert explain("0xdead") is None and explain("what?") is None
    assert page("0xdead", "X") == ""
    assert meanings("0xdead", 2) == ("", "")
    assert "usual cause" not in bugcheck_text(BugcheckEvent(code="0xdead", name="X"))
