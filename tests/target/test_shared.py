"""What every target has to do: the same tests on the simulator and on Wine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernellab.errors import (
    Bugcheck,
    LoadError,
    NtStatusError,
    TargetStopped,
    TargetTimeout,
    UsageError,
)
from kernellab.lab import Target
from kernellab.sources import build_text
from tests.drivers import BODY_LINE, driver_source

DEVICE = Path(__file__).parent / "drivers" / "device.rs"
COUNT, RELEASE = 0x222000, 0x222004


@pytest.fixture(scope="module")
def device() -> Path:
    return build_text("shared", DEVICE.read_text(encoding="utf-8")).sys


def built(name: str, body: str) -> Path:
    return build_text(name, driver_source(body)).sys


@pytest.fixture(autouse=True)
def clean(either: Target) -> Iterator[None]:
    """Each test finds a machine without drivers, and leaves one."""
    yield
    if not either.stopped:
        for driver in either.drivers.values():
            driver.unload(close_handles=True)


def wait_for_lines(driver: object, count: int) -> list[str]:
    log = driver.log  # type: ignore[attr-defined]
    end = time.monotonic() + 20
    while len(log.lines) < count and time.monotonic() < end:
        time.sleep(0.005)
    return list(log.lines)


def test_life_of_a_driver(either: Target, hello: Path) -> None:
    driver = either.load(hello)
    assert (driver.state, driver.log.lines) == ("running", ["hello from the kernel"])
    record = driver.log[0]
    assert (record.level, record.component, record.driver) == (0, 77, "hello")
    driver.unload()
    assert (driver.state, driver.log.lines[-1]) == ("unloaded", "bye")
    driver.reload()
    assert driver.log.lines == ["hello from the kernel", "bye", "hello from the kernel"]
    with pytest.raises(UsageError, match="already loaded"):
        either.load(hello)


def test_each_driver_has_its_own_lines(either: Target, hello: Path) -> None:
    one, two = either.load(hello), either.load(built("second", 'println!("I am the second");'))
    assert (one.log.lines, two.log.lines) == (["hello from the kernel"], ["I am the second"])
    one.unload()
    assert (one.log.lines[-1], two.log.lines) == ("bye", ["I am the second"])
    assert two.running


def test_text_of_any_kind_arrives_as_printed(either: Target) -> None:
    driver = either.load(built("words", r'println!("50 % {{}} \"ü€😀\" \\ \t<b>&amp;");'))
    assert driver.log.lines == ['50 % {} "ü€😀" \\ \t<b>&amp;']


def test_many_lines_arrive_in_order_and_none_is_lost(either: Target) -> None:
    driver = either.load(built("many", 'for n in 0..5000 { println!("line {n}"); }'))
    assert wait_for_lines(driver, 5000) == [f"line {n}" for n in range(5000)]
    assert driver.log.dropped == 0


def test_driver_entry_that_fails(either: Target) -> None:
    with pytest.raises(NtStatusError) as caught:
        either.load(built("refuses", "return Err(Error::ACCESS_DENIED);"))
    assert caught.value.name == "STATUS_ACCESS_DENIED"
    assert caught.value.driver.state == "failed"
    with pytest.raises(NtStatusError, match=r"\\\\\.\\Refuses") as missing:
        either.open(r"\\.\Refuses")
    assert missing.value.name == "STATUS_OBJECT_NAME_NOT_FOUND"


def test_a_file_that_is_no_driver(either: Target, tmp_path: Path) -> None:
    file = tmp_path / "text.sys"
    file.write_bytes(b"not an image" * 100)
    with pytest.raises(LoadError):
        either.load(file)


def test_requests_are_answered(either: Target, device: Path) -> None:
    driver = either.load(device)
    with either.open(r"\\.\Shared") as first, either.open(r"\\.\shared") as second:
        assert first.read(4) == b"0123"
        assert second.read(100) == b"0123456789"
        first.write(b"abc")
        assert first.ioctl(COUNT, out_size=4) == (2).to_bytes(4, "little")
        for code, status in (
            (0x22200C, "STATUS_INVALID_DEVICE_REQUEST"),
            (COUNT, "STATUS_BUFFER_TOO_SMALL"),
        ):
            with pytest.raises(NtStatusError, match=status) as caught:
                first.ioctl(code)
            assert caught.value.name == status
    driver.unload()
    assert driver.log.lines == ["open 1", "open 2", "wrote [97, 98, 99]", "bye"]


def test_requests_wait_and_are_cancelled(either: Target, device: Path) -> None:
    driver = either.load(device)
    with either.open(r"\\.\Shared") as file:
        waiting = file.read_async(100, offset=1)
        assert not waiting.done
        file.ioctl(RELEASE)
        assert waiting.result() == b"released"
        assert not waiting.cancel()
        waiting = file.read_async(100, offset=1)
        assert waiting.cancel()
        with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
            waiting.result()
        assert file.read(1) == b"0"
    assert "cancelled" in driver.log.lines


def test_a_crash_names_its_line_and_the_next_load_reboots(either: Target, hello: Path) -> None:
    other = either.load(hello)
    body = 'println!("before"); unsafe { core::ptr::null_mut::<u32>().write_volatile(1) }'
    with pytest.raises(Bugcheck) as caught:
        either.load(built("crasher", body))
    error = caught.value
    assert error.driver.log.lines == ["before"]
    assert (error.driver.state, other.state) == ("bug check", "gone")
    own = next(f for f in error.frames if f.file == "cell")
    assert own.line == BODY_LINE
    assert f"cell:{BODY_LINE}" in str(error)
    with pytest.raises(TargetStopped):
        either.open(r"\\.\Echo")
    assert either.load(hello, name="again").running
    assert either.bugcheck is None


def test_a_panic_is_a_bug_check_at_its_line(either: Target) -> None:
    with pytest.raises(Bugcheck) as caught:
        either.load(built("panics", 'panic!("oh no");'))
    error = caught.value
    assert error.name == "MANUALLY_INITIATED_CRASH"
    assert error.driver.log.lines == [f"panicked at cell:{BODY_LINE}:9: oh no"]
    assert next(f for f in error.frames if f.file == "cell").line == BODY_LINE


def test_a_driver_that_hangs_is_stopped_at_its_line(either: Target, hello: Path) -> None:
    with pytest.raises(TargetTimeout) as caught:
        either.load(built("hangs", "loop { core::hint::spin_loop(); }"), timeout=0.5)
    assert next(f for f in caught.value.frames if f.file == "cell").line == BODY_LINE
    assert either.load(hello).running
