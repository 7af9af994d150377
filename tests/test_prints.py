"""Runs of prints: as one line, as single events, in batches; what is no such run is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernellab import prints
from kernellab.prints import Events, Prints, parts_of
from kernellab.protocol import DbgPrint, ProtocolError, State

RUN = Prints(7, "hello", ["a\n", "\u202e<b>\x1b", ""], [0.5, 0.75, 1.0], 3, 77, 2, 4)


def test_a_run_comes_back_the_same() -> None:
    line = prints.encode(RUN)
    assert "\n" not in line
    assert line.isascii()
    back = prints.parse(json.loads(line))
    assert (back.seq, back.driver, len(back)) == (7, "hello", 3)
    assert back.records == RUN.records


def test_single_events_are_numbered_and_stay_the_same_objects() -> None:
    one, two, three = RUN.records
    assert one == DbgPrint(7, "hello", "a\n", 0.5, 3, 77, 2, 4)
    assert (two.seq, three.seq, three.text, three.time) == (8, 9, "", 1.0)
    assert RUN.records[1] is two


def test_a_batch_is_single_events_in_order() -> None:
    first, last = State(6, "hello", "running"), DbgPrint(10, "hello", "z")
    batch = Events([first, RUN, last])
    assert [event.seq for event in batch] == [6, 7, 8, 9, 10]
    assert len(batch) == 5
    assert batch[0] is first
    assert batch[1] is RUN.records[0]
    assert batch[-1] is last
    assert [event.seq for event in batch[1:3]] == [7, 8]
    assert parts_of(batch) == [first, RUN, last]
    assert parts_of([first]) == [first]


def test_whole_numbers_are_times() -> None:
    (record,) = prints.parse({"seq": 1, "texts": ["x"], "times": [2], "more": "ignored"}).records
    assert record == DbgPrint(1, "", "x", 2.0)
    assert type(record.time) is float


@pytest.mark.parametrize(
    "change",
    [
        {"texts": "ab"},
        {"texts": []},
        {"texts": ["a"]},
        {"texts": ["a", 5]},
        {"texts": ["a", None]},
        {"times": {}},
        {"times": [0.5, "1"]},
        {"times": [0.5, True]},
        {"texts": [], "times": []},
        {"seq": "7"},
        {"seq": True},
        {"level": 1.5},
        {"thread": None},
        {"driver": 1},
    ],
    ids=str,
)
def test_what_is_no_run_is_refused(change: dict[str, Any]) -> None:
    good = {"event": "dbgprints", "seq": 1, "driver": "d", "texts": ["a", "b"], "times": [0.5, 1]}
    assert len(prints.parse(good)) == 2
    with pytest.raises(ProtocolError):
        prints.parse({**good, **change})


def test_prints_of_nobody_are_in_each_drivers_log() -> None:
    lost, own = Prints(1, "", ["a\n", "b\n"], [0.0, 1.0]), DbgPrint(3, "one", "c\n")
    one, two, three = prints.addressed([lost, own], ["one", "two"])
    assert [(each.driver, each.seq) for each in (one, two, three)] == [
        *(("one", 1), ("two", 1), ("one", 3)),
    ]
    assert isinstance(two, Prints)
    assert [record.driver for record in two.records] == ["two", "two"]
    assert prints.addressed([lost], []) == [lost]
