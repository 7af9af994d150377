"""Unload and Reload: when they act, what they say when they do not, what is shown meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from kernellab.errors import UsageError
from kernellab.pane.log import LogPane
from tests.pane.helpers import FrontEnd, until


class Gate:
    """An action that goes on when it is let go."""

    def __init__(self) -> None:
        self.entered, self.open, self.calls = threading.Event(), threading.Event(), 0

    def __call__(self) -> None:
        self.calls += 1
        self.entered.set()
        assert self.open.wait(30)


def running(
    front_ends: list[FrontEnd], unload: Callable[[], object], reload: Callable[[], object]
) -> tuple[LogPane, FrontEnd]:
    pane = LogPane("hello", on_unload=unload, on_reload=reload)
    pane.attach()
    pane.set_state("loading")
    pane.set_state("running")
    return pane, front_ends[-1]


def test_a_press_is_answered_and_shown_until_it_is_done(front_ends: list[FrontEnd]) -> None:
    gate = Gate()
    pane, front = running(front_ends, gate, gate)
    front.say(type="unload", mark="press 1")
    assert gate.entered.wait(30)
    until(lambda: front.state["head"]["busy"] == "unload")
    head = front.state["head"]
    assert head["heard"] == "press 1"
    assert set(head["reasons"].values()) == {"unload is under way"}
    pane.set_waiting("sim is busy")
    until(lambda: front.state["head"]["waiting"] == "sim is busy")
    front.say(type="reload", mark="press 2")
    gate.open.set()
    until(lambda: not front.state["head"]["busy"])
    assert front.state["head"]["waiting"] == ""
    assert front.state["head"]["heard"] == "press 2", "refused, and heard"
    assert gate.calls == 1


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (UsageError("it is <b>gone</b>"), "unload failed: it is <b>gone</b>"),
        (
            ZeroDivisionError("division\nby zero"),
            "unload failed: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_what_an_action_raises_is_shown(
    front_ends: list[FrontEnd], error: Exception, note: str
) -> None:
    def fail() -> None:
        raise error

    pane, front = running(front_ends, fail, fail)
    front.say(type="unload")
    until(lambda: front.state["head"]["note"] == note)
    pane.set_state("loading")
    until(lambda: front.state["head"]["note"] == "")


@pytest.mark.parametrize(
    ("states", "word"),
    [(["built"], "load"), (["running", "unloaded"], "load"), (["running", "bug check"], "reload")],
)
def test_a_failure_is_told_by_the_word_on_the_button(
    front_ends: list[FrontEnd], states: list[str], word: str
) -> None:
    def fail() -> None:
        raise UsageError("no")

    pane, front = running(front_ends, fail, fail)
    for state in states:
        pane.set_state(state)
    front.say(type="reload")
    until(lambda: front.state["head"]["note"] == f"{word} failed: no")


@pytest.mark.parametrize(
    ("states", "unload", "reload"),
    [
        (["building"], "the driver is not loaded yet", "the driver is not loaded yet"),
        (["loading"], "the driver is not loaded yet", "the driver is not loaded yet"),
        (["loading", "running"], "", ""),
        (["loading", "running", "unloaded"], "the driver is not running", ""),
        (["loading", "bug check"], "the driver is not running", ""),
        (["building", "built"], "the driver is not running", ""),
        (["failed"], "the driver is not running", "nothing was loaded"),
    ],
)
def test_each_button_says_why_it_does_not_act(
    front_ends: list[FrontEnd], states: list[str], unload: str, reload: str
) -> None:
    calls: list[str] = []
    pane = LogPane(
        "hello", on_unload=lambda: calls.append("u"), on_reload=lambda: calls.append("r")
    )
    pane.attach()
    for state in states:
        pane.set_state(state)
    assert pane.head()["reasons"] == {"unload": unload, "reload": reload}
    for name, reason in (("unload", unload), ("reload", reload)):
        front_ends[-1].say(type=name)
        until(lambda: not pane.head()["busy"])
        assert (name[0] in calls) == (not reason)


def test_a_retired_pane_does_nothing(front_ends: list[FrontEnd]) -> None:
    gate = Gate()
    pane, front = running(front_ends, gate, gate)
    pane.retire()
    front.say(type="unload")
    front.say(type="reload")
    assert set(pane.head()["reasons"].values()) == {"the cell was run again"}
    assert gate.calls == 0


def test_without_an_action_there_is_none() -> None:
    assert set(LogPane("hello").head()["reasons"].values()) == {"not available here"}


def test_cancel_acts_while_it_builds_and_says_how_far_it_is(front_ends: list[FrontEnd]) -> None:
    cancelled = threading.Event()
    pane = LogPane("hello", on_cancel=cancelled.set)
    pane.attach()
    front = front_ends[-1]
    pane.set_state("building")
    pane.set_progress(2, 7, "compiling <b>syn</b>")
    until(lambda: (front.state["head"]["progress"] or {}).get("total") == 7)
    head = front.state["head"]
    assert head["progress"]["done"] == 2 and head["progress"]["what"] == "compiling <b>syn</b>"
    assert head["progress"]["seconds"] >= 0 and head["reasons"]["cancel"] == ""
    front.say(type="cancel", mark="press 1")
    assert cancelled.wait(30)
    pane.set_state("interrupted", "the build was stopped")
    until(lambda: front.state["head"]["state"] == "interrupted")
    assert front.state["head"]["progress"] is None
    assert front.state["head"]["reasons"]["cancel"] == "nothing is being built"
    cancelled.clear()
    front.say(type="cancel", mark="press 2")
    until(lambda: front.state["head"]["heard"] == "press 2")
    assert not cancelled.is_set()
