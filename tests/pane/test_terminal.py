"""The pane in a plain terminal."""

from __future__ import annotations

import pytest

from kernellab.pane.terminal import TextPane
from kernellab.protocol import BugcheckEvent, Dropped, ErrorEvent, Event, Frame, State, Violation
from tests.pane.helpers import HOSTILE, harmless, printed

SOURCE = "%%rustdriver hello\nboom();\n"
OWN = Frame(function="init", file="cell", line=2)


class Screen(TextPane):
    """A pane whose output is kept."""

    def __init__(self) -> None:
        self.out = ""
        super().__init__("hello", source=SOURCE, write=self._keep)

    def _keep(self, text: str) -> None:
        self.out += text


@pytest.fixture
def screen() -> Screen:
    return Screen()


def test_prints_come_as_they_are(screen: Screen) -> None:
    screen.add([printed("one\ntw"), printed("o\n"), printed("low\n", level=1, component=101)])
    assert screen.out == "one\ntwo\n[WARNING] low\n"


def test_an_open_line_is_ended_before_anything_else(screen: Screen) -> None:
    screen.add([printed("no newline"), Dropped(count=1200)])
    screen.add([printed("again none")])
    screen.finish()
    screen.finish()
    assert screen.out == "no newline\n… 1,200 events were lost here\nagain none\n"


RUNNING = State(driver="hello", state="running")


def test_states_are_said_once_and_in_their_order(screen: Screen) -> None:
    screen.set_state("building")
    screen.set_progress(1, 2, "compiling")
    screen.set_timings(build=0.31)
    screen.set_state("loading")
    screen.set_state("running")  # the target says it before the prints of the same batch
    screen.add([printed("hello\n"), RUNNING])
    screen.set_state("running")
    screen.set_state("unloaded")
    screen.set_state("unloaded")
    assert screen.out.splitlines() == ["hello", "hello: running [build 0.31 s]", "hello: unloaded"]


def test_the_same_end_after_another_load_is_said_again(screen: Screen) -> None:
    for _ in range(2):
        screen.set_state("loading")
        screen.set_state("failed", "DriverEntry returned STATUS_NO_MEMORY")
    assert screen.out == "hello: failed. DriverEntry returned STATUS_NO_MEMORY\n" * 2


def test_only_the_pane_that_loads_tells_of_a_reboot(screen: Screen) -> None:
    reboot = State(state="rebooted", status="timed out")
    screen.set_state("gone", "its machine has stopped")
    screen.add([reboot])
    assert "rebooted" not in screen.out
    screen.set_state("loading")
    screen.add([reboot])
    assert screen.out.endswith("the machine was rebooted, as it had stopped (timed out)\n")


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (BugcheckEvent(code="0x7e", name="STOPPED", frames=(OWN,)), "*** STOP: 0x0000007E STOPPED"),
        (Violation(rule="leak-pool", message="m", frames=(OWN,)), "verifier: leak-pool: m"),
        (ErrorEvent(error="timeout", message="m", frames=(OWN,)), "Time ran out while this ran: m"),
    ],
)
def test_reports_point_at_the_cells_line(screen: Screen, event: Event, says: str) -> None:
    screen.add([event])
    assert says in screen.out.splitlines()
    assert "    > 2 | boom();" in screen.out.splitlines()
    assert "    > init at cell:2" in screen.out.splitlines()


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text(screen: Screen, hostile: str) -> None:
    frame = Frame(function=hostile, file="cell", line=1)
    screen.set_state(hostile, hostile)
    screen.set_timings({hostile: 1.0})
    screen.set_note(hostile)
    screen.set_diagnostics([hostile])
    screen.set_state("loading")
    screen.add(
        [
            printed(hostile),
            State(state="rebooted", status=hostile),
            Violation(rule=hostile, message=hostile, frames=(frame,)),
            ErrorEvent(message=hostile),
            ErrorEvent(error=hostile, message=hostile, frames=(frame,)),
            BugcheckEvent(code=hostile, name=hostile, message=hostile, frames=(frame,)),
        ]
    )
    screen.finish()
    harmless(screen.out)
    assert screen.out.endswith("\n")


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    coloured: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    pane = TextPane("hello", source=SOURCE)
    pane.add([BugcheckEvent(code="0x7e", name="STOPPED", frames=(OWN,))])
    out = capsys.readouterr().out
    assert ("\x1b[1;31m*** STOP" in out) == coloured
    assert ("\x1b[1m    > 2 | boom();\x1b[0m" in out) == coloured
    assert coloured or "\x1b" not in out


def test_no_colours_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    pane = TextPane("hello", source=SOURCE)
    pane.set_state("failed", "why")
    assert capsys.readouterr().out == "hello: failed. Why\n"
