"""Hostile text becomes visible; events, times and places as a person reads them."""

from __future__ import annotations

import pytest

from kernellab.pane import text
from kernellab.protocol import BugcheckEvent, ErrorEvent, Frame, Violation
from tests.pane.helpers import HOSTILE, harmless

CELL = "%%rustdriver boom\nfn a() {\n    let x = nowhere();\n}\n// end"
OWN = Frame(module="boom.sys", rva=0x10, function="boom::init", file="cell", line=3)
LIBRARY = Frame(module="boom.sys", function="read", file="core/ptr.rs", line=2029, inlined=True)
KERNEL = Frame(module="ntoskrnl.exe", rva=0x12F0, address="0xfffff80000001000")


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_made_visible(hostile: str) -> None:
    for made in (text.printable(hostile), text.one_line(hostile)):
        harmless(made)
        assert len(made) >= len(hostile.replace("\r", "").replace("\x85", "")) // 2
    assert "\n" not in text.one_line("a\n\nb\tc")


def test_each_hostile_character_has_its_own_sign() -> None:
    assert text.printable("\x1b[31m\x00\x7f\x9b\u202e\ud800") == "␛[31m␀␡‹U+009B›‹U+202E›‹U+D800›"
    assert text.printable("tab\tand\r\nnewline\n") == "tab\tand\nnewline\n"
    assert text.printable("e\u0301 عربى 漢字 🦀") == "e\u0301 عربى 漢字 🦀"


def test_a_megabyte_in_one_line_is_done_at_once() -> None:
    made = text.printable("\x1b" * 1_000_000)
    assert made == "␛" * 1_000_000


def test_levels_and_components() -> None:
    assert text.level_name(0, 77) == ""  # println! is no error
    assert text.level_name(0, 101) == "ERROR"
    assert text.level_name(3, 101) == "INFO"
    assert text.level_name(31, 101) == "31"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.31, "0.31 s"), (0.0994, "99 ms"), (0.004, "4 ms"), (80e-6, "80 µs"), (120.4, "120 s")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert text.format_seconds(seconds) == shown
    assert text.timings_text({"first_line": seconds}) == f"first line {shown}"


def test_a_bug_check_in_plain_text_names_the_line_and_what_to_do() -> None:
    event = BugcheckEvent(
        code="0x7e",
        name="SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
        message="The driver read address 0.",
        parameters=("0x1", "0x2"),
        frames=(LIBRARY, OWN, KERNEL),
        instruction="mov eax, [rcx]",
    )
    lines = text.bugcheck_text(event, CELL).splitlines()
    assert lines[0] == "*** STOP: 0x0000007E SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"
    assert lines[1] == "    The driver read address 0."
    assert "    > 3 |     let x = nowhere();" in lines
    assert "    > boom::init at cell:3" in lines
    assert "      read at core/ptr.rs:2029 (inlined)" in lines
    assert any(
        line.startswith("    Look at line 3, mend the cell and run it again") for line in lines
    )
    assert "Look at line" not in text.bugcheck_text(event)  # no cell to look at


def test_a_runaway_stack_is_capped() -> None:
    event = BugcheckEvent(code="0x50", name="DOUBLE_FAULT", frames=(OWN,) * 5000)
    made = text.bugcheck_text(event, CELL)
    assert made.count("boom::init") == text.MOST_FRAMES
    assert f"… and {5000 - text.MOST_FRAMES} more" in made


@pytest.mark.parametrize("line", [0, -1, 6, 10**9])
def test_a_line_that_the_cell_does_not_have(line: int) -> None:
    assert text.excerpt(CELL, line) == []
    frame = Frame(function="f", file="cell", line=line)
    assert "f" in text.bugcheck_text(BugcheckEvent(code="0x1", name="X", frames=(frame,)), CELL)


def test_the_place_is_the_users_own_line() -> None:
    assert text.own_frame((LIBRARY, OWN, KERNEL)) is OWN
    assert text.own_frame((LIBRARY, KERNEL)) is LIBRARY
    assert text.own_frame((KERNEL,)) is None


def test_a_panics_words() -> None:
    assert text.panic_text(["hello", "panicked at cell:8:9:", "no way", "  left: 1"]) == (
        "panicked at cell:8:9: no way left: 1"
    )
    assert text.panic_text(["it panicked at noon"]) == ""
    assert text.panic_text([]) == ""


def test_where_it_was_stopped() -> None:
    event = ErrorEvent(error="timeout", message="ran for more than 10 s", frames=(OWN,))
    made = text.stop_text(event, CELL)
    assert made.splitlines()[0] == "Time ran out while this ran: ran for more than 10 s"
    assert "--timeout" in made and "> 3 |" in made
    stopped = text.stop_text(ErrorEvent(error="interrupted", message="■", frames=(OWN,)), CELL)
    assert stopped.startswith("You stopped it") and "--timeout" not in stopped


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_events_in_plain_text_are_harmless(hostile: str) -> None:
    frame = Frame(function=hostile, file=hostile, line=3, module=hostile)
    own = Frame(function=hostile, file="cell", line=1)
    check = BugcheckEvent(
        code=hostile,
        name=hostile,
        message=hostile,
        parameters=(hostile,),
        frames=(frame, own),
        instruction=hostile,
    )
    harmless(text.bugcheck_text(check, hostile, last_words=hostile))
    harmless(text.violation_text(Violation(rule=hostile, message=hostile, frames=(frame,))))
    harmless(text.stop_text(ErrorEvent(error=hostile, message=hostile, frames=(own,)), hostile))
    harmless(text.diagnostic_text(hostile))
    harmless(text.timings_text({hostile: 1.0}))


def test_a_panics_own_line_goes_before_its_frames() -> None:
    """The compiler makes one call of several panics that are alike."""
    frames = [Frame(function="panic"), Frame(function="init", file="cell", line=13)]
    found = text.stopped_at(frames, "x", "panicked at cell:11:37: too high")
    assert found is not None and (found.function, found.line) == ("init", 11)
    for words in ("", "panicked at alloc/src/alloc.rs:553:9: no memory", "panicked again at"):
        assert text.stopped_at(frames, "x", words) == frames[1]
    assert text.stopped_at(frames[:1], "x", "panicked at cell:11:37: too high") is None
