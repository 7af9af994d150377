"""The live pane and its feed: nothing lost, in order, whatever the front end does."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from kernellab.pane import feed
from kernellab.pane.log import MOST_VIOLATIONS, LogPane
from kernellab.protocol import BugcheckEvent, DbgPrint, Dropped, ErrorEvent, Frame, State, Violation
from tests.pane.helpers import HOSTILE, FrontEnd, harmless, printed, until

OWN = Frame(module="hello.sys", function="init", file="cell", line=2)
SOURCE = "%%rustdriver hello\nboom();\n"


def lines(first: int, last: int) -> list[DbgPrint]:
    return [printed(f"line {n}\n") for n in range(first, last)]


def expected(count: int) -> list[str]:
    return [f"line {n}" for n in range(count)]


def live(front_ends: list[FrontEnd], **more: Any) -> tuple[LogPane, FrontEnd]:
    pane = LogPane("hello", source=SOURCE, **more)
    pane.attach()
    return pane, front_ends[-1]


def test_rows_arrive_in_order(front_ends: list[FrontEnd]) -> None:
    pane, front = live(front_ends)
    for start in range(0, 1000, 50):
        pane.add(lines(start, start + 50))
    until(lambda: len(front.texts) == 1000)
    assert front.texts == expected(1000)
    assert front.gaps == 0


def test_a_long_log_goes_in_several_batches(
    front_ends: list[FrontEnd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BATCH_ROWS", 10)
    pane, front = live(front_ends)
    pane.add(lines(0, 95))
    until(lambda: len(front.texts) == 95)
    assert front.texts == expected(95)
    assert len([m for m in front.messages if m["total"] == 95]) >= 10


@pytest.mark.parametrize("lost", [{1}, {2, 3}, {1, 2, 3, 4, 5}, set(range(2, 40, 2))])
def test_lost_batches_are_sent_again(
    front_ends: list[FrontEnd], monkeypatch: pytest.MonkeyPatch, lost: set[int]
) -> None:
    monkeypatch.setattr(feed, "BATCH_ROWS", 10)
    monkeypatch.setattr(feed, "AGAIN", ())
    pane, front = live(front_ends)
    front.lose = lost.__contains__
    pane.add(lines(0, 300))

    # A view that has not everything asks, from what it has.
    def complete() -> bool:
        if len(front.texts) < 300:
            front.say(type="sync", **{"from": len(front.texts)})
        return len(front.texts) == 300

    until(complete)
    assert front.texts == expected(300)


def test_a_view_that_starts_late_gets_all(front_ends: list[FrontEnd]) -> None:
    pane, front = live(front_ends)
    pane.add(lines(0, 200))
    until(lambda: len(front.texts) == 200)
    front.texts.clear()
    front.say(type="sync", **{"from": 0})
    until(lambda: len(front.texts) == 200)
    assert front.texts == expected(200)


def test_while_no_view_has_spoken_rows_are_sent_again(
    front_ends: list[FrontEnd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "AGAIN", (0.01, 0.02))
    pane, front = live(front_ends)
    front.lose = lambda number: number == 1
    pane.add(lines(0, 3))
    pane.finish()
    until(lambda: front.texts == expected(3))


@pytest.mark.parametrize(
    "content",
    [
        {}, {"type": None}, {"type": ["unload"]}, {"type": "sync"}, {"type": "sync", "from": "0"},
        {"type": "sync", "from": -5}, {"type": "sync", "from": 10**30}, {"type": "burn"},
        {"type": "unload", "mark": {"a": 1}}, {"type": "unload", "mark": "\u202e" * 10**6},
    ],
)  # fmt: skip
def test_messages_of_an_altered_page_do_no_harm(
    front_ends: list[FrontEnd], content: dict[str, Any]
) -> None:
    pane, front = live(front_ends)
    pane.add(lines(0, 5))
    front.say(**content)
    pane.add(lines(5, 9))
    until(lambda: front.texts == expected(9))
    assert len(pane.head()["heard"]) <= 40
    harmless(pane.head()["heard"])


def test_dropped_events_are_counted_in_the_head(front_ends: list[FrontEnd]) -> None:
    pane, front = live(front_ends)
    pane.add([Dropped(count=12), *lines(0, 1)])
    until(lambda: front.state["head"]["dropped"] == 12)
    assert "12 events were lost here" in pane.text()
    assert "2 lines, 12 dropped" in pane.text()
    assert "12 dropped" in pane.html()


def test_many_threads_at_once(front_ends: list[FrontEnd]) -> None:
    pane, front = live(front_ends)

    def add(name: int) -> None:
        for n in range(100):
            pane.add([printed(f"{name}:{n}\n", driver=f"d{name}")])
            pane.set_state("running", str(n))
            if n % 10 == 0:
                pane.finish()
                front.say(type="sync", **{"from": 0})

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: len(front.texts) == 400)
    for name in range(4):
        assert [t for t in front.texts if t.startswith(f"{name}:")] == [
            f"{name}:{n}" for n in range(100)
        ]


def test_the_thread_ends_when_there_is_nothing_to_do(
    front_ends: list[FrontEnd], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "AGAIN", ())
    pane, front = live(front_ends)
    pane.add(lines(0, 3))
    until(lambda: front.texts == expected(3))
    until(lambda: not [t for t in threading.enumerate() if t.name == "kernellab-pane"])
    pane.add(lines(3, 5))
    until(lambda: front.texts == expected(5))


def test_closed_panes_send_nothing(front_ends: list[FrontEnd]) -> None:
    pane, front = live(front_ends)
    pane.close()
    count = len(front.messages)
    pane.add(lines(0, 3))
    pane.finish()
    assert len(front.messages) == count
    assert "line 2" in pane.text()


def test_a_new_load_takes_the_last_ones_reports_away(front_ends: list[FrontEnd]) -> None:
    pane, front = live(front_ends)
    pane.set_state("loading")
    pane.add(
        [
            Violation(rule="leak-pool", message="m", frames=(OWN,)),
            ErrorEvent(error="timeout", message="m", frames=(OWN,)),
            BugcheckEvent(code="0x7e", name="STOPPED", frames=(OWN,)),
        ]
    )
    until(lambda: len(front.state["panels"]) == 3)
    assert "kernellab-bugcheck" in pane.html()
    pane.set_state("loading")
    until(lambda: front.state["panels"] == [])
    assert "kernellab-bugcheck" not in pane.html()
    assert "bug check 0x0000007E STOPPED" in pane.text(), "the rows keep it"


def test_a_panics_words_come_with_its_bug_check() -> None:
    pane = LogPane("hello", source=SOURCE)
    pane.add([printed("panicked at cell:2:1: no <more>\n"), BugcheckEvent(code="0xe2", name="X")])
    assert "<strong>panicked at cell:2:1: no &lt;more&gt;</strong>" in pane.html()
    assert "    panicked at cell:2:1: no <more>\n" in pane.text()


def test_violations_for_the_panel_are_capped() -> None:
    pane = LogPane("hello")
    pane.add([Violation(rule="r", message=f"m{n}") for n in range(MOST_VIOLATIONS + 50)])
    assert pane.text().count("verifier: r: m0\n") == 2  # in the report and in the log
    assert pane.text().count(f"m{MOST_VIOLATIONS + 1}\n") == 1
    assert len(pane.html()) < 200_000


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_everywhere(front_ends: list[FrontEnd], hostile: str) -> None:
    pane = LogPane(hostile, source=hostile)
    pane.attach()
    front = front_ends[-1]
    frame = Frame(module=hostile, function=hostile, file="cell", line=1, address=hostile)
    pane.set_state(hostile, hostile)
    pane.set_progress(1, 2, hostile)
    pane.set_timings({hostile: 1.0})
    pane.set_note(hostile)
    pane.set_waiting(hostile)
    pane.set_diagnostics([hostile])
    pane.add(
        [
            printed(hostile, driver=hostile),
            State(driver=hostile, state="failed", status=hostile),
            Violation(driver=hostile, rule=hostile, message=hostile, frames=(frame,)),
            ErrorEvent(driver=hostile, error=hostile, message=hostile, frames=(frame,)),
            BugcheckEvent(
                driver=hostile, code=hostile, name=hostile, message=hostile,
                parameters=(hostile,), frames=(frame,), instruction=hostile,
                registers={hostile: hostile},
            ),
        ]
    )  # fmt: skip
    pane.finish()
    harmless(pane.html(), html=True)
    harmless(pane.text())
    for panel in front.state["panels"]:
        harmless(panel, html=True)
    for value in front.state["head"].values():
        harmless(str(value))
    for row in front.state["snapshot"]["rows"]:
        harmless(row[0])
    until(lambda: front.texts)
    for text in front.texts:
        harmless(text)


def test_the_snapshot_is_small_and_holds_both_ends(front_ends: list[FrontEnd]) -> None:
    pane, front = live(front_ends)
    pane.add([printed(f"line {n}\n" + "x" * 100 + "\n") for n in range(5000)])
    pane.finish()
    snapshot = front.state["snapshot"]
    texts = [row[0] for row in snapshot["rows"]]
    assert texts[0] == "line 0"
    assert texts[-2] == "line 4999"
    assert snapshot["omitted"] == 10_000 - len(texts)
    assert snapshot["head"] < len(texts)
    assert sum(map(len, texts)) < 32 * 1024
