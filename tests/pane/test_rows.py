"""Prints and events as numbered rows."""

from __future__ import annotations

import pytest

from kernellab.pane.rows import MAX_ROW, PRINT, Rows, plain_rows
from kernellab.prints import Prints
from kernellab.protocol import BugcheckEvent, Dropped, ErrorEvent, Event, Frame, State, Violation
from tests.pane.helpers import HOSTILE, harmless, printed


def texts(rows: Rows) -> list[str]:
    return [row.text for row in rows.rows(0, len(rows))]


def test_prints_become_lines() -> None:
    rows = Rows()
    assert rows.add([printed("one\ntwo\n"), printed("three\n")]) == 0
    assert texts(rows) == ["one", "two", "three"]
    assert rows.add([printed("\n")]) == 3
    assert texts(rows)[3:] == [""]


def test_a_line_goes_on_in_the_next_print() -> None:
    rows = Rows()
    rows.add([printed("a")])
    assert rows.add([printed("b\nc")]) == 0, "row 0 has changed"
    assert rows.add([printed("d\n")]) == 1
    assert texts(rows) == ["ab", "cd"]


def test_another_drivers_print_or_level_does_not_go_on() -> None:
    rows = Rows()
    rows.add([printed("a"), printed("b", driver="other"), printed("c", driver="other", level=1)])
    assert texts(rows) == ["a", "b", "c"]


def test_a_megabyte_line_is_cut_into_rows_and_is_one_line_again_as_text() -> None:
    rows = Rows()
    line = "x" * 1_000_000
    rows.add([printed(line + "\n"), printed("next\n")])
    kept = rows.rows(0, len(rows))
    assert max(len(row.text) for row in kept) == MAX_ROW
    assert [row.continued for row in kept[:-1]] == [False] + [True] * (len(kept) - 2)
    assert plain_rows(kept).split("\n") == [line, "next"]


_RUNS = {
    "whole lines": ["a\n", "\n", "c\r\n", "\x1b\u202e\n"],
    "parts of lines": ["a", "b\n", "c"],
    "two lines in one": ["a\nb\n", "c", "d\n"],
    "as many line ends as prints": ["a\nb\n", "c"],
    "a line begun before": ["\n", "a\n"],
    "nothing": ["", "a\n"],
    "a long line": ["x" * (MAX_ROW + 1) + "\n", "y\n"],
    **{name: [text, text + "\n", text] for name, text in HOSTILE.items()},
}


@pytest.mark.parametrize("before", ["before\n", "before", "\r"])
@pytest.mark.parametrize("run", _RUNS.values(), ids=_RUNS.keys())
def test_a_run_of_prints_becomes_the_rows_of_the_single_ones(run: list[str], before: str) -> None:
    one, other = Rows(), Rows()
    event = Prints(2, "hello", run, [n / 10 for n in range(len(run))], 3, 77, 2, 4)
    start = printed(before, level=3, component=77, irql=2, thread=4)
    assert one.add([start]) == other.add([start])
    assert one.add([event]) == other.add(event.records)
    assert one.add([printed("after\n")]) == other.add([printed("after\n")])
    assert one.rows(0, len(one)) == other.rows(0, len(other))
    assert (one.drivers, one.components) == (other.drivers, other.components)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_rows_are_harmless(hostile: str) -> None:
    rows = Rows()
    rows.add(
        [
            printed(hostile),
            State(driver=hostile, state="failed", status=hostile),
            State(state="rebooted", status=hostile),
            Violation(driver=hostile, rule=hostile, message=hostile),
            BugcheckEvent(code=hostile, name=hostile),
            ErrorEvent(message=hostile),
        ]
    )
    for text in texts(rows):
        harmless(text)
        assert "\n" not in text


def test_a_violations_place_is_the_users_line() -> None:
    rows = Rows()
    frames = (
        Frame(function="alloc", file="windows-kernel-rs/src/pool.rs", line=86),
        Frame(function="init", file="cell", line=8),
    )
    rows.add([Violation(rule="leak-pool", message="40 bytes", frames=frames)])
    assert texts(rows) == ["verifier: leak-pool: 40 bytes (cell:8)"]


LOADED = State(driver="hello", state="loaded")
REBOOTED = State(state="rebooted", status="timed out")


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ([LOADED], []),
        # A new run after a reboot is no second load.
        ([REBOOTED, LOADED], ["the machine was rebooted, as it had stopped (timed out)"]),
        ([printed("x\n"), LOADED], ["x"]),
        ([LOADED, State(driver="other", state="loaded")], []),
        ([LOADED, LOADED], ["hello loaded again"]),
        ([LOADED, State(driver="hello", state="unloaded"), LOADED],
         ["hello unloaded", "hello loaded again"]),
        ([State(state="rebooted")], ["the machine was rebooted"]),
        ([State(driver="hello", state="failed", status="STATUS_NO_MEMORY")],
         ["hello failed: STATUS_NO_MEMORY"]),
    ],
)  # fmt: skip
def test_loads_and_reboots(events: list[Event], shown: list[str]) -> None:
    rows = Rows()
    rows.add(events)
    assert texts(rows) == shown


def test_what_is_lost_is_counted() -> None:
    rows = Rows(capacity=100)
    rows.add([Dropped(count=12)])
    assert texts(rows) == ["12 events were lost here"]
    assert rows.dropped == 12
    rows.add([printed(f"{n}\n") for n in range(500)])
    assert rows.total == 501
    assert len(rows) <= 126
    assert rows.dropped == 12 + rows.base
    assert texts(rows)[-1] == "499"


def test_rows_changed_before_the_oldest_kept_one() -> None:
    rows = Rows(capacity=100)
    rows.add([printed("open")])
    first = rows.add([printed(f"{n}\n") for n in range(400)])
    assert first == rows.base > 0


def test_batches_by_number() -> None:
    rows = Rows()
    rows.add([printed(f"{n}\n", time=n / 1000, level=n % 4) for n in range(100)])
    batch = rows.batch(40, 10, 10**6)
    assert (batch.first, batch.texts) == (40, [str(n) for n in range(40, 50)])
    assert list(batch.times) == [n / 1000 for n in range(40, 50)]
    assert [meta >> 8 & 255 for meta in batch.meta] == [n % 4 for n in range(40, 50)]
    assert [meta >> 16 for meta in batch.meta] == [77] * 10
    assert rows.batch(0, 1000, 5).texts == ["0", "1", "2", "3", "4"]
    assert rows.batch(0, 1000, 0).texts == ["0"], "one row at least"
    assert rows.batch(100, 10, 10).texts == []


def test_the_ends_of_a_long_log() -> None:
    rows = Rows()
    rows.add([printed(f"{n:04}\n") for n in range(1000)])
    head, omitted, tail = rows.ends(24 * 100)
    assert [row.text for row in head] == [f"{n:04}" for n in range(25)]
    assert [row.text for row in tail] == [f"{n:04}" for n in range(925, 1000)]
    assert omitted == 900
    head, omitted, tail = rows.ends(10**9)
    assert (len(head), omitted, tail) == (1000, 0, [])


def test_the_last_prints_pass_over_events() -> None:
    rows = Rows()
    rows.add([printed("a\nb\n"), BugcheckEvent(code="0xe2", name="X")])
    assert rows.last_prints() == ["a", "b"]
    assert rows.last_prints(2) == ["b"]
    assert rows.rows(0, 1)[0].kind == PRINT


def test_rows_know_their_driver_thread_and_component() -> None:
    rows = Rows()
    rows.add(
        [
            printed("a\n", thread=0x1234, irql=2),
            printed("b\n", driver="other", component=101, level=3),
            State(driver="other", state="unloaded"),
        ]
    )
    kept = rows.rows(0, 3)
    assert [(row.driver, row.thread, row.irql) for row in kept] == [
        ("hello", 0x1234, 2),
        ("other", 0, 0),
        ("other", 0, 0),
    ]
    assert rows.components == {77: "IHVDRIVER", 101: "DEFAULT"}
    batch = rows.batch(0, 3, 100)
    assert [origin & 0xFFF for origin in batch.origin] == [0, 1, 1]
    assert rows.drivers == ["hello", "other"]


def test_a_bug_check_s_row_says_where_in_the_cell() -> None:
    rows = Rows("one\ntwo\nthree")
    frames = (Frame(file="cell", line=2, function="hello::init", address="0x1"),)
    rows.add(
        [
            printed("panicked at cell:3:5: no\n"),
            BugcheckEvent(driver="hello", code="0x7e", name="WRONG", frames=frames),
        ]
    )
    assert texts(rows)[-1] == "bug check 0x0000007E WRONG (cell:3)", "the line that the panic names"
