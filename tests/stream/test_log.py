"""DbgLog: order, loss, following, filters, ways out."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from kernellab.prints import Prints
from kernellab.protocol import DbgPrint
from kernellab.stream import DbgLog


def records(*texts: str) -> list[DbgPrint]:
    return [DbgPrint(seq=i, text=t, time=i / 10) for i, t in enumerate(texts, 1)]


def test_text_and_lines_join_split_prints() -> None:
    log = DbgLog()
    log.extend(records("one\n", "tw", "o\n"))
    assert log.lines == ["one", "two"]
    assert len(log) == 3
    assert "tw" in log
    assert "three" not in log


def test_full_log_lets_the_oldest_go_and_counts() -> None:
    log = DbgLog(capacity=2)
    log.extend(records("a", "b", "c"))
    log.count_lost(4)
    assert [r.text for r in log] == ["b", "c"]
    assert log.dropped == 5


def test_follow_sees_what_comes_later_and_ends_with_close() -> None:
    log = DbgLog()
    log.extend(records("a"))
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.extend(r.text for r in log.follow(10)))
    thread.start()
    log.extend(records("b", "c"))
    log.close()
    thread.join(10)
    assert seen == ["a", "b", "c"]


def test_follow_skips_what_was_let_go() -> None:
    log = DbgLog(capacity=2)
    log.extend(records("a", "b", "c", "d"))
    assert [r.text for r in log.follow(0)] == ["c", "d"]


def test_wait_finds_or_gives_up() -> None:
    log = DbgLog()
    log.extend(records("boot", "ready"))
    found = log.wait("rea", timeout=1)
    assert found is not None
    assert found.seq == 2
    assert log.wait("never", timeout=0.01) is None


def test_filter_by_pattern_and_time() -> None:
    log = DbgLog()
    log.extend(records("alpha", "beta", "alps"))
    assert [r.text for r in log.filter("^al")] == ["alpha", "alps"]
    assert [r.text for r in log.filter("^al", since=0.2)] == ["alps"]
    assert log.filter(level=3) == []


def test_json_lines(tmp_path: Path) -> None:
    log = DbgLog()
    log.extend(records("é\n", "<b>"))
    path = tmp_path / "log.jsonl"
    text = log.to_jsonl(path)
    assert path.read_text(encoding="utf-8") == text
    assert [json.loads(line)["text"] for line in text.splitlines()] == ["é\n", "<b>"]


def test_runs_of_prints_are_records_as_any() -> None:
    log = DbgLog()
    run = Prints(2, "d", ["b", "c\n", "d"], [0.2, 0.3, 0.4], 1, 77, 0, 4)
    log.extend([*records("a"), run, DbgPrint(5, "d", "e\n")])
    assert log.text == "abc\nde\n"
    assert "c" in log
    assert "ab" not in log
    assert [r.seq for r in log] == [1, 2, 3, 4, 5]
    assert [log[n].text for n in range(-5, 5)] == ["a", "b", "c\n", "d", "e\n"] * 2
    assert log[2] is log.records()[2] is run.records[1]
    assert [r.text for r in log.filter(level=1, since=0.3)] == ["c\n", "d"]
    with pytest.raises(IndexError):
        log[5]


def test_a_full_log_lets_go_of_a_part_of_a_run() -> None:
    log = DbgLog(capacity=3)
    seen = log.follow(0)
    log.extend([Prints(1, "d", ["a", "b"], [0.1, 0.2])])
    assert next(seen).text == "a"
    log.extend([Prints(3, "d", ["c", "d", "e"], [0.3, 0.4, 0.5])])
    log.extend([Prints(6, "d", ["f"], [0.6])])
    assert (len(log), log.dropped, log.text) == (3, 3, "def")
    assert [r.text for r in log] == ["d", "e", "f"]
    assert (log[0].text, log[-1].text) == ("d", "f")
    assert [r.text for r in seen] == ["b", "d", "e", "f"]
    log.extend(Prints(n, "d", ["x", "y"], [0, 0]) for n in range(7, 1000, 2))
    assert (log.text, len(log)) == ("yxy", 3)
