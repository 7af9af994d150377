"""Tabs beside the log: offered in the head, answered when a view asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kernellab.pane.log import LogPane
from kernellab.pane.tabs import Reply
from tests.pane.helpers import FrontEnd, until


class Echo:
    """Answers with what it was asked."""

    name = "echo"

    def receive(self, content: Mapping[str, Any], reply: Reply) -> None:
        reply({"said": content.get("say")}, [b"bytes"])


def test_an_open_tab_is_answered_by_its_name(front_ends: list[FrontEnd]) -> None:
    pane = LogPane("hello")
    pane.add_tab(Echo())
    pane.attach()
    front = front_ends[-1]
    until(lambda: front.state["head"]["tabs"] == [["echo", 1]])
    pane.tab_changed("echo")
    until(lambda: front.state["head"]["tabs"] == [["echo", 2]])
    for strange in (None, 7, "no such tab", "x" * 1000, ["echo"]):
        front.say(type="tab", tab=strange, say="lost")
    front.say(type="tab", tab="echo", say="hi")
    until(lambda: any(m["type"] == "tab" for m in front.messages))
    answers = [m for m in front.messages if m["type"] == "tab"]
    assert answers == [{"said": "hi", "type": "tab", "tab": "echo"}]
    pane.close()
    front.say(type="tab", tab="echo", say="after the end")
    assert len([m for m in front.messages if m["type"] == "tab"]) == 1
