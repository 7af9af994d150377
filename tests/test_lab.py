"""The Python API on the real simulator: drivers, errors, reboot, nothing left behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import (
    Bugcheck,
    LoadError,
    NtStatusError,
    TargetLost,
    TargetStopped,
    TargetTimeout,
    UsageError,
)
from kernellab.lab import Target
from kernellab.protocol import DbgPrint, Event, State
from tests.drivers import BODY_LINE

Build = Callable[..., BuildResult]
pytestmark = pytest.mark.usefixtures("no_leftovers")


@pytest.fixture
def target() -> Iterator[Target]:
    with kernellab.connect("sim") as machine:
        yield machine


def test_life_of_a_driver(target: Target, hello: Path) -> None:
    driver = target.load(hello)
    assert (driver.name, driver.state, driver.running) == ("hello", "running", True)
    assert driver.log.lines == ["hello from the kernel"]
    record = driver.log[0]
    assert (record.level, record.component, record.irql) == (0, 77, 0)
    driver.unload()
    assert (driver.state, driver.log.lines[-1]) == ("unloaded", "bye")
    driver.unload()  # does nothing
    driver.reload()
    assert driver.running
    assert driver.log.lines == ["hello from the kernel", "bye", "hello from the kernel"]
    assert target.violations == []
    assert set(driver.timings) == {"load", "first_line"}


def test_loading_a_running_driver_is_refused(target: Target, hello: Path) -> None:
    target.load(hello)
    with pytest.raises(UsageError, match="already loaded"):
        target.load(hello)
    assert target.load(hello, name="second").running


def test_failing_entry_names_its_status(target: Target, build_driver: Build) -> None:
    image = build_driver("refuses", "if true { return Err(Error::NOT_SUPPORTED); }").sys
    with pytest.raises(NtStatusError) as info:
        target.load(image)
    assert (info.value.name, info.value.status) == ("STATUS_NOT_SUPPORTED", 0xC00000BB)
    assert info.value.driver.state == "failed"
    assert target.status()["drivers"] == []


NULL = 'let v = unsafe { core::ptr::null::<u32>().read_volatile() }; println!("{v}");'


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_beside_the_load_leaves_nothing_loaded(
    target: Target, hello: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """It met neither the request nor its reply, but what comes before or behind them."""
    request = target._request

    def interrupted(command: str, wait: float, **fields: Any) -> dict[str, Any]:
        if command == "load":
            monkeypatch.undo()
            if when == "after":
                request(command, wait, **fields)
            raise KeyboardInterrupt
        return request(command, wait, **fields)

    monkeypatch.setattr(target, "_request", interrupted)
    with pytest.raises(KeyboardInterrupt):
        target.load(hello)
    driver = target.load(hello)
    assert [record.text for record in driver.log] == ["hello from the kernel\n"]
    driver.unload()


def test_bug_check_names_the_line_and_the_next_load_reboots(
    target: Target, build_driver: Build, hello: Path
) -> None:
    image = build_driver("wild", NULL).sys
    first = target.load(hello)
    events: list[Event] = []
    target.subscribe(events.extend)
    with pytest.raises(Bugcheck) as info:
        target.load(image)
    error = info.value
    assert (error.code, error.name) == (0x7E, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED")
    assert error.parameters[0] == 0xC0000005
    own = next(frame for frame in error.frames if frame.file == "cell")
    assert own.line == BODY_LINE
    assert error.driver.bugcheck is not None
    assert error.driver.state == "bug check"
    with pytest.raises(TargetStopped):
        target.open(r"\\.\hello")
    again = target.load(hello, name="again")
    assert again.running
    assert first.state == "gone"
    assert target.reboots == 1
    assert [e.status for e in events if isinstance(e, State) and e.state == "rebooted"]


def test_endless_loop_is_stopped_with_its_line(
    target: Target, build_driver: Build, hello: Path
) -> None:
    image = build_driver("spins", "loop { core::hint::spin_loop(); }").sys
    with pytest.raises(TargetTimeout) as info:
        target.load(image, timeout=0.3)
    assert [f.line for f in info.value.frames if f.file == "cell"] == [BODY_LINE]
    assert "cell:7" in str(info.value)
    assert target.load(hello).running


def test_budget_stops_at_the_same_place_every_time(target: Target, build_driver: Build) -> None:
    image = build_driver("counts", 'for n in 0.. { println!("{}", n as u64); }').sys
    texts = []
    for _ in range(2):
        with pytest.raises(TargetTimeout, match="20000 instructions"):
            target.load(image, budget=20_000)
        texts.append(target.drivers["counts"].log.text)
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) > 3


def test_interrupt_gives_the_prompt_back(
    target: Target, build_driver: Build, hello: Path, request: pytest.FixtureRequest
) -> None:
    """What ■ does: KeyboardInterrupt in the main thread, the machine stopped, not the lab."""
    import _thread

    # A shell's background jobs ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    image = build_driver("spins", 'println!("now"); loop { core::hint::spin_loop(); }').sys

    def heard(events: Sequence[Event]) -> None:
        if any(isinstance(event, DbgPrint) for event in events):
            threading.Timer(0.1, _thread.interrupt_main).start()

    deaf = target.subscribe(heard)
    with pytest.raises(KeyboardInterrupt):
        target.load(image)
    deaf()
    assert target.stopped == "interrupted"
    assert target.drivers["spins"].state == "interrupted"
    assert target.load(hello).running


def test_dead_endpoint_is_lost_and_the_next_load_starts_anew(target: Target, hello: Path) -> None:
    driver = target.load(hello)
    children = psutil.Process().children()
    for child in children:
        if "kernellab.target.sim" in child.cmdline():
            child.kill()
    with pytest.raises(TargetLost):
        driver.unload()
    assert target.load(hello, name="fresh").running


def test_unusable_names(target: Target, hello: Path) -> None:
    for name in ("a b", "a/b", "..", "CON", "x" * 100, "", "ünï"):
        with pytest.raises(UsageError):
            target.load(hello, name=name or " ")


def test_not_an_image(target: Target, tmp_path: Path, hello: Path) -> None:
    path = tmp_path / "text.sys"
    path.write_text("not a driver")
    with pytest.raises(LoadError):
        target.load(path)
    with pytest.raises(LoadError, match="cannot read"):
        target.load(tmp_path / "absent.sys")
    truncated = tmp_path / "cut.sys"
    truncated.write_bytes(hello.read_bytes()[:700])
    with pytest.raises(LoadError):
        target.load(truncated)
    assert target.load(hello).running


def test_closed_target(hello: Path) -> None:
    target = kernellab.connect("sim")
    driver = target.load(hello)
    target.close()
    target.close()
    assert driver.state == "gone"
    with pytest.raises(TargetLost, match="closed"):
        target.load(hello, name="late")


def test_unknown_target_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match="sim"):
        kernellab.connect("toaster")


def test_hostile_text_arrives_as_text(target: Target, build_driver: Build) -> None:
    body = r'println!("<script>alert(1)</script> \x1b[31m \u{202e} %s%n");'
    driver = target.load(build_driver("hostile", body).sys)
    assert driver.log.text == "<script>alert(1)</script> \x1b[31m \u202e %s%n\n"


def test_a_megabyte_in_one_go(target: Target, build_driver: Build) -> None:
    body = 'for n in 0..10_000u32 { println!("{n:05} {}", "x".repeat(98)); }'
    image = build_driver("floods", body.replace('"x".repeat(98)', "[b'x'; 98].escape_ascii()")).sys
    batches: list[Sequence[Event]] = []
    target.subscribe(batches.append)
    driver = target.load(image)
    assert len(driver.log) == 10_000
    assert driver.log.dropped == 0
    assert driver.log[9_999].text.startswith("09999 xxx")
    assert len(driver.log.text) >= 1_000_000


def test_same_run_same_log(build_driver: Build) -> None:
    image = build_driver("counts2", 'for n in 0..50u32 { println!("{n} {:p}", &n); }').sys
    logs = []
    for _ in range(2):
        with kernellab.connect("sim") as machine:
            driver = machine.load(image)
            driver.unload()
            logs.append(driver.log.to_jsonl())
    assert logs[0] == logs[1]


def test_follow_sees_lines_while_the_driver_runs(target: Target, build_driver: Build) -> None:
    body = 'println!("first"); loop { core::hint::spin_loop(); }'
    image = build_driver("lives", body).sys
    driver = target.prepare(image)
    seen: list[float] = []

    def watch() -> None:
        if driver.log.wait("first", timeout=10):
            seen.append(time.monotonic())

    thread = threading.Thread(target=watch)
    thread.start()
    with pytest.raises(TargetTimeout):
        target.run(driver, timeout=1.0)
    end = time.monotonic()
    thread.join()
    assert seen
    assert end - seen[0] > 0.3  # it did not wait for the end


def test_a_path_without_its_beginning_is_told() -> None:
    with (
        kernellab.connect("sim") as target,
        pytest.raises(NtStatusError, match=r"programs open \\\\\.\\Door"),
    ):
        target.open("Door")
