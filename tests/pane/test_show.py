"""A pane as a cell's output: two displays, the saved one kept up to date."""

from __future__ import annotations

from typing import Any

import pytest

from kernellab.pane.log import LogPane
from kernellab.pane.show import new_pane, show
from kernellab.pane.terminal import TextPane
from tests.pane.helpers import FrontEnd, printed, until

VIEW = "application/vnd.jupyter.widget-view+json"


class Display:
    """IPython's ``display`` that remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def __call__(self, bundle: dict[str, Any], **keywords: Any) -> None:
        self.calls.append((bundle, keywords))


def test_the_saved_form_stands_before_the_widget(front_ends: list[FrontEnd]) -> None:
    display = Display()
    pane = new_pane("hello", source="")
    show(pane, display)
    (saved, first), (widget, second) = display.calls
    assert set(saved) == {"text/plain", "text/html"}
    assert first == {"raw": True, "display_id": pane.id}
    assert f'data-kernellab-static="{pane.id}"' in saved["text/html"]
    assert set(widget) == {VIEW, "text/plain"}
    assert widget["text/plain"] == "", "where there is no widget, the text is there once"
    assert second == {"raw": True}
    assert front_ends[-1].state["head"]["pane"] == pane.id


def test_the_saved_form_follows(front_ends: list[FrontEnd]) -> None:
    display = Display()
    pane = new_pane("hello")
    show(pane, display)
    pane.add([printed("hello from the kernel\n")])
    pane.set_state("unloaded")
    pane.finish()
    bundle, keywords = display.calls[-1]
    assert keywords == {"raw": True, "display_id": pane.id, "update": True}
    assert bundle["text/plain"] == "hello: unloaded\nhello from the kernel"
    # Also without being told, once the log is quiet.
    pane.add([printed("later\n")])
    until(lambda: "later" in display.calls[-1][0]["text/plain"])
    assert "later" in display.calls[-1][0]["text/html"]


def test_a_front_end_that_is_gone_stops_nothing(front_ends: list[FrontEnd]) -> None:
    def broken(*_: Any, update: bool = False, **__: Any) -> None:
        if update:
            raise OSError("the kernel is going down")

    pane = new_pane("hello")
    show(pane, broken)
    pane.add([printed("x\n")])
    until(lambda: isinstance(pane, LogPane) and pane._feed._thread is None)
    pane.add([printed("y\n")])
    assert isinstance(pane, LogPane)
    assert pane.text().endswith("x\ny")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_is_told_and_the_next_change_is_shown(
    front_ends: list[FrontEnd], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr("threading.excepthook", lambda args: told.append(args.exc_type))
    shown = []

    def display(bundle: dict[str, Any], *, update: bool = False, **_: Any) -> None:
        if update and not told:
            raise KeyError("of ours")
        shown.append(str(bundle.get("text/plain")))

    pane = new_pane("hello")
    show(pane, display)
    pane.add([printed("x\n")])
    until(lambda: told == [KeyError])
    pane.add([printed("y\n")])
    until(lambda: shown[-1].endswith("x\ny"))


def test_a_terminal_has_no_output_of_its_own() -> None:
    display = Display()
    pane = new_pane("hello", rich=False)
    assert isinstance(pane, TextPane)
    assert show(pane, display) is None
    assert display.calls == []
