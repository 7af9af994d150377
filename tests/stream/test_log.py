"""DbgLog: order, loss, following, filters, ways out."""

from __future__ import annotations

import json
import threading
from pathlib import Path

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
