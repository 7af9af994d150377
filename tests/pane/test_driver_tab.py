"""The Driver view's messages, answered from a real driver on a real target."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import kernellab
from kernellab.driver import Driver
from kernellab.errors import TargetLost
from kernellab.lab import Target
from kernellab.pane.driver_tab import MOST_BYTES, DriverTab
from kernellab.pane.driver_view import render_driver
from kernellab.sources import build_path
from kernellab.view.actions import MOST_SNAPSHOTS, DriverActions
from tests.pane.helpers import harmless, until

DRIVERS = Path(__file__).parents[1] / "target" / "sim" / "drivers"
REVERSE = 0x22_2000


@pytest.fixture(scope="module")
def machine() -> Iterator[Target]:
    with kernellab.connect("sim") as target:
        yield target


class View:
    """A tab of one driver, and what it said."""

    def __init__(self, target: Target, name: str = "devices") -> None:
        target.reboot()
        target.drivers.clear()
        image = build_path(DRIVERS / f"{name}.rs").sys
        self.driver: Driver | None = target.load(image)
        self.retired = False
        self.answers: list[tuple[dict[str, Any], list[bytes]]] = []
        self.changes = 0
        self.actions = DriverActions(name, image, lambda: self.driver, lambda: self.retired, 5)
        self.tab = DriverTab(self.actions, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def _reply(self, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        self.answers.append((dict(content), list(buffers)))

    def say(self, **content: Any) -> None:
        self.tab.receive(content, self._reply)

    def ask(self, have: object = "") -> dict[str, Any]:
        return self._answered(lambda: self.say(have=have))[0]

    def press(self, action: str, **content: Any) -> tuple[dict[str, Any], list[bytes]]:
        answer = self._answered(lambda: self.say(action=action, mark="m", **content))
        assert answer[0]["kind"] == "result" and answer[0]["action"] == action
        until(lambda: not self.tab.content()["busy"])
        return answer

    def refused(self, action: str, **content: Any) -> str:
        answer, buffers = self.press(action, **content)
        assert answer["text"] == "" and buffers == []
        error: str = answer["error"]
        assert error
        return error

    def _answered(self, act: Callable[[], object]) -> tuple[dict[str, Any], list[bytes]]:
        before = len(self.answers)
        act()
        until(lambda: len(self.answers) > before, "an answer")
        return self.answers[-1]


def rows(content: Mapping[str, Any], section: str) -> list[list[str]]:
    found: list[list[str]] = next(s["rows"] for s in content["sections"] if s["id"] == section)
    return found


def test_asking_twice_says_that_nothing_changed(machine: Target) -> None:
    view = View(machine)
    first = view.ask()
    assert first["kind"] == "info" and first["told"]
    facts = {label: value for label, value, _ in first["facts"]}
    assert facts["State"] == "running" and len(facts["SHA-256"]) == 64
    assert first["links"] == [[r"\\.\Devices", r"\\.\Devices"]]
    assert view.ask(first["mark"]) == {"kind": "same", "mark": first["mark"]}
    for strange in (None, 7, ["x"], "x" * 10_000):
        assert view.ask(strange)["kind"] == "info"


def test_open_use_close(machine: Target) -> None:
    view = View(machine)
    answer, _ = view.press("open", path=r"\\.\Devices")
    assert answer["error"] == ""
    ((handle, label),) = view.ask()["handles"]
    assert label == rf"{handle}: \\.\Devices"
    answer, buffers = view.press("ioctl", handle=handle, code=REVERSE, hex="616263", size=3)
    assert (answer["bytes"], buffers) == (3, [b"cba"])
    answer, _ = view.press("write", handle=handle, hex=b"hello".hex(), offset=0)
    assert answer["text"] == "wrote 5 bytes; the driver took 5"
    _, buffers = view.press("read", handle=handle, size=64, offset=1)
    assert buffers == [b"ello"]
    assert view.driver is not None
    assert view.driver.handles[0].read(5) == b"hello"
    view.press("close", handle=handle)
    assert view.ask()["handles"] == []
    assert rows(view.ask(), "irps")[0][0] == "IRP_MJ_CLOSE"


def test_handles_are_closed_with_the_unload(machine: Target) -> None:
    view = View(machine)
    view.press("open", path=r"\\.\Devices")
    ((handle, _),) = view.ask()["handles"]
    assert view.driver is not None
    view.driver.unload(close_handles=True)
    assert "handle" in view.refused("read", handle=handle, size=1, offset=0)
    content = view.ask()
    assert content["handles"] == [] and "not loaded" in content["reasons"]["device"]


@pytest.mark.parametrize(
    ("action", "content", "said"),
    [
        ("open", {"path": r"\\.\Nobody"}, "there is no device"),
        ("open", {"path": "x" * 1001}, "longer than"),
        ("open", {"path": 7}, "no path"),
        ("open", {}, "no path"),
        ("ioctl", {"handle": 4, "code": 1 << 32, "hex": "", "size": 0}, "the code has to be"),
        ("ioctl", {"handle": 4, "code": -1, "hex": "", "size": 0}, "the code has to be"),
        ("ioctl", {"handle": 4, "code": True, "hex": "", "size": 0}, "not a whole number"),
        ("ioctl", {"handle": 4, "code": 1.5, "hex": "", "size": 0}, "not a whole number"),
        ("ioctl", {"handle": 4, "code": 0, "hex": "123", "size": 0}, "two digits"),
        ("ioctl", {"handle": 4, "code": 0, "hex": "zz", "size": 0}, "not hexadecimal"),
        ("ioctl", {"handle": 4, "code": 0, "hex": [1], "size": 0}, "not hexadecimal"),
        ("ioctl", {"handle": 4, "code": 0, "hex": "00" * (MOST_BYTES + 1), "size": 0}, "longer"),
        ("ioctl", {"handle": 4, "code": 0, "hex": "", "size": MOST_BYTES + 1}, "the size has"),
        ("ioctl", {"handle": 400, "code": 0, "hex": "", "size": 0}, "there is no handle 400"),
        ("read", {"handle": "4", "size": 1, "offset": 0}, "handle is not a whole"),
        ("write", {"handle": 4, "hex": "00", "offset": -1}, "offset has to be"),
        ("snapshot", {"name": " "}, "no name"),
        ("snapshot", {"name": "x" * 41}, "longer than 40"),
        ("restore", {"name": "nothing"}, "there is no snapshot"),
        ("delete", {"name": "nothing"}, "there is no snapshot"),
    ],
)
def test_bad_presses_say_what_is_wrong(
    machine: Target, action: str, content: dict[str, Any], said: str
) -> None:
    assert said in View(machine).refused(action, **content)


def test_what_is_no_action_is_ignored(machine: Target) -> None:
    view = View(machine)
    for action in ("__init__", "", None, 4, ["open"], "x" * 10_000):
        view.say(action=action)
    assert view.answers == []


def test_snapshots(machine: Target) -> None:
    view = View(machine)
    view.press("open", path=r"\\.\Devices")
    ((handle, _),) = view.ask()["handles"]
    view.press("snapshot", name="one\u202e ")
    ((name, _, why),) = view.ask()["snapshots"]
    harmless(name)
    assert why == ""
    assert "already" in view.refused("snapshot", name="one\u202e")
    view.press("close", handle=handle)
    view.press("restore", name=name)
    assert view.ask()["handles"] == [[handle, rf"{handle}: \\.\Devices"]]
    for number in range(1, MOST_SNAPSHOTS):
        view.press("snapshot", name=str(number))
    assert "delete one" in view.refused("snapshot", name="more")
    view.press("delete", name=name)
    machine.reboot()
    assert view.ask()["snapshots"] == []
    assert "no snapshot '1': a reboot ends them" in view.refused("restore", name="1")
    # The machine's memory is given back when the cell runs again.
    assert view.driver is not None
    machine.run(view.driver)
    view.press("snapshot", name="one")
    ((kept, _),) = view.actions._snapshots.values()
    assert kept.usable
    view.retired = True
    view.actions.end()
    assert not kept.usable and view.ask()["snapshots"] == []
    with pytest.raises(TargetLost):
        kept.restore()


def test_a_bug_check_in_the_request_and_back_again(machine: Target) -> None:
    view = View(machine, "faults")
    view.press("open", path=r"\\.\Faults")
    ((handle, _),) = view.ask()["handles"]
    view.press("snapshot", name="alive")
    bad = {"handle": handle, "code": 0x22_2000, "hex": b"null_read".hex(), "size": 0}
    assert "SYSTEM_SERVICE_EXCEPTION" in view.refused("ioctl", **bad)
    content = view.ask()
    assert "the machine has stopped" in content["reasons"]["device"]
    assert "the machine has stopped" in content["reasons"]["snapshot"]
    assert content["facts"][0][1].startswith("bug check")
    assert "stopped" in view.refused("open", path=r"\\.\Faults")
    view.press("restore", name="alive")
    assert view.ask()["reasons"] == {"device": "", "snapshot": ""}
    assert view.ask()["handles"]


def test_while_another_call_runs_it_says_what_it_waits_for(machine: Target) -> None:
    view = View(machine)
    before = view.ask()
    driver = view.driver
    assert driver is not None
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with driver.exclusive():
            begun.set()
            go_on.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    assert begun.wait(30)
    try:
        view.say(action="open", path=r"\\.\Devices", mark="m")
        until(lambda: "busy with another call" in view.ask()["waiting"])
        content = view.ask()
        assert content["stale"] and content["busy"] == "open"
        assert content["facts"] == before["facts"]
        view.say(action="snapshot", name="x", mark="n")
        until(lambda: any(a.get("error") == "open is under way" for a, _ in view.answers))
    finally:
        go_on.set()
        other.join()
    until(lambda: any(a.get("action") == "open" and a["error"] == "" for a, _ in view.answers))
    until(lambda: not view.ask()["busy"])
    assert view.changes >= 2


def test_a_cell_that_was_run_again(machine: Target) -> None:
    view = View(machine)
    view.retired = True
    assert view.refused("open", path=r"\\.\Devices") == "the cell was run again"
    assert view.ask()["reasons"]["device"] == "the cell was run again"


def test_before_a_driver_and_on_a_target_that_does_not_tell(
    machine: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = View(machine)
    monkeypatch.setattr(machine, "features", frozenset())
    content = view.ask()
    assert not content["told"] and "does not tell" in content["note"]
    assert [section["id"] for section in content["sections"]] == ["imports"]
    assert view.press("open", path=r"\\.\Devices")[0]["error"] == ""
    view.driver = None
    content = view.ask()
    assert content["facts"][0][1] == "built" and content["reasons"]["device"]
    assert view.refused("open", path=r"\\.\Devices") == "the driver was not loaded"


def test_the_static_form_is_small_and_harmless(machine: Target) -> None:
    view = View(machine)
    with machine.open(r"\\.\Devices") as device:
        name = r"\??\<script>alert(1)</script>" + "\u202e=\\Device\\Devices"
        device.ioctl(0x22_2014, name.encode())
        assert view.driver is not None
        info = view.driver.info()
    assert any("script" in link.name for link in info.links)
    html = render_driver(info)
    assert "<script" not in html
    harmless(html, html=True)
    assert len(html) < 10_000
    bundle = view.driver._repr_mimebundle_()
    assert bundle["text/plain"] == repr(view.driver)
    assert "IRP_MJ_CREATE" in bundle["text/html"]


def test_opened_while_another_call_runs_it_shows_the_image(machine: Target) -> None:
    view = View(machine)
    begun, go_on = threading.Event(), threading.Event()
    driver = view.driver
    assert driver is not None

    def hold() -> None:
        with driver.exclusive():
            begun.set()
            go_on.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    assert begun.wait(30)
    try:
        content = view.ask()
        assert content["stale"] and not content["told"]
        assert [label for label, _, _ in content["facts"]] == ["State", "Size", "SHA-256"]
        assert rows(content, "imports")
    finally:
        go_on.set()
        other.join()
    assert view.ask()["told"]
