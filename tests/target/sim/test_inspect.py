"""What a target tells of a driver: right, bounded, and without changing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import TargetStopped, Unsupported, UsageError
from kernellab.inspect.info import text_table
from kernellab.lab import Target
from kernellab.target.sim.kernel.pool import Allocation
from kernellab.target.sim.kernel.pool_use import MOST_POINTS, MOST_TAGS, PoolUse

from .test_devices import MAIN
from .test_faults import go_wrong
from .test_pending import LATER, NAME, pending

__all__ = ["pending"]  # a fixture


def test_what_a_running_driver_has(target: Target, devices: Path) -> None:
    driver = target.load(devices)
    info = driver.info()
    assert info.note == ""
    assert info.told and info.loaded and info.state == "running"
    assert (info.size, len(info.sha256)) == (devices.stat().st_size, 64)
    assert info.base == target.status()["drivers"][0]["base"]
    assert {each.module for each in info.imports} == {"ntoskrnl.exe"}
    assert all(each.simulated for each in info.imports)
    assert next(link.win32 for link in info.links) == MAIN
    assert info.handles == ()
    with target.open(MAIN) as device:
        device.write(b"four")
        (row,) = driver.info().handles
        assert (row.path, row.by, row.own) == (MAIN, "notebook.exe", True)
        assert driver.devices[0].handles == 1
        (again,) = driver.handles
        assert again.read(4) == b"four"
        majors = [irp.major for irp in driver.irps]
        assert majors[:3] == ["IRP_MJ_READ", "IRP_MJ_WRITE", "IRP_MJ_CREATE"]
        assert {irp.status for irp in driver.irps} == {"STATUS_SUCCESS"}
    text = str(driver.info())
    assert info.sha256 in text and "IRP_MJ_CLOSE" in text
    driver.unload()
    gone = driver.info()
    assert (gone.loaded, gone.devices, gone.handles) == (False, (), ())
    assert gone.base == ""


def test_pending_requests_show_where_they_are(target: Target, pending: Path) -> None:
    driver = target.load(pending)
    with target.open(NAME) as device:
        later = device.ioctl_async(LATER, (1000).to_bytes(4, "little"), 4)
        (irp,) = [each for each in driver.irps if each.state in ("pending", "queued")]
        assert irp.major == "IRP_MJ_DEVICE_CONTROL"
        assert irp.status == "" and irp.since > 0
        (timer,) = driver.info().timers
        assert timer.due == pytest.approx(irp.since + 1, abs=0.1)
        target.sleep(2)
        assert later.done
        newest = next(each for each in driver.irps if each.state == "completed")
        assert (newest.irp, newest.status) == (irp.irp, "STATUS_SUCCESS")
        assert newest.since >= irp.since + 1


def test_it_can_be_asked_after_a_bug_check(target: Target, faults: Path) -> None:
    driver, _ = go_wrong(target, faults, "null_read")
    info = driver.info()
    assert info.state == "bug check" and info.told
    assert info.loaded, "its image is still in memory"
    (irp,) = [each for each in info.irps if each.state == "in the driver"]
    assert irp.major == "IRP_MJ_DEVICE_CONTROL"
    with pytest.raises(TargetStopped):
        driver.handles[0].read(1)


def test_asking_changes_nothing(pending: Path) -> None:
    """The same calls with and without it: not one record of the log differs, nor the time."""

    def run(asks: bool) -> tuple[list[object], object]:
        with kernellab.connect("sim", seed=3) as target:
            driver = target.load(pending)

            def ask() -> None:
                if asks:
                    driver.info()
                    target.inspect(driver.name, most=0)

            ask()
            with target.open(NAME) as device:
                request = device.ioctl_async(LATER, (50).to_bytes(4, "little"), 4)
                ask()
                target.sleep(1)
                ask()
                request.result()
            ask()
            driver.unload()
            return [(r.seq, r.time, r.thread, r.irql, r.text) for r in driver.log], target.status()

    assert run(True) == run(False)


def test_the_pools_course_goes_back_with_the_machine(target: Target, devices: Path) -> None:
    driver = target.load(devices)
    with target.open(MAIN) as device:
        snapshot = target.snapshot()
        before = driver.pool
        device.write(b"x" * 5000)
        assert driver.pool != before
        snapshot.restore()
        assert driver.pool == before


def test_bad_requests(target: Target, devices: Path) -> None:
    driver = target.load(devices)
    for most in (-1, 2001, "all", True):
        with pytest.raises(UsageError, match="most"):
            target.inspect(driver.name, most=most)  # type: ignore[arg-type]
    assert target.inspect("no such driver")["loaded"] is False
    short = target.inspect(driver.name, most=0)
    assert short["devices"] == [] and short["counts"]["devices"] > 0
    target.reboot()
    assert driver.info().loaded is False


def test_a_target_that_does_not_tell(
    target: Target, devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = target.load(devices)
    monkeypatch.setattr(target, "features", frozenset())
    with pytest.raises(Unsupported):
        target.inspect(driver.name)
    info = driver.info()
    assert not info.told and "does not tell" in info.note
    assert info.sha256 and info.imports
    assert "does not tell" in str(info)


class _Clock:
    now = 0


def _allocation(tag: int, size: int) -> Allocation:
    return Allocation(0, size, tag, False, "hello", 0, 1, True, False, False)


def test_a_tags_course_is_bounded_and_keeps_its_peak() -> None:
    clock = _Clock()
    use = PoolUse(clock)  # type: ignore[arg-type]
    for turn in range(50_000):
        clock.now += 10
        size = 1_000_000 if turn == 31_337 else 16
        use.allocated(_allocation(7, size))
        clock.now += 10
        use.freed(_allocation(7, size))
    tag = use.drivers["hello"][7]
    assert (tag.live, tag.bytes, tag.peak, tag.made) == (0, 0, 1_000_000, 50_000)
    assert MOST_POINTS // 4 <= len(tag.times) <= MOST_POINTS
    assert list(tag.times) == sorted(set(tag.times))
    at = list(tag.sizes).index(1_000_000)
    assert tag.times[at] <= 31_337 * 20 + 10 < tag.times[at] + tag.step


def test_tags_without_number_are_counted_as_one() -> None:
    use = PoolUse(_Clock())  # type: ignore[arg-type]
    for tag in range(1, 1000):
        use.allocated(_allocation(tag, 1))
    for tag in range(1, 1000):
        use.freed(_allocation(tag, 1))
    tags = use.drivers["hello"]
    assert len(tags) == MOST_TAGS + 1
    assert all(each.live == each.bytes == 0 for each in tags.values())
    assert sum(each.made for each in tags.values()) == 999


def test_tables_are_aligned() -> None:
    assert text_table(["a", "long_name"], [["12345", "x"]]) == [
        "  a      long name",
        "  12345  x",
    ]
