"""Notifications of the framework: what is told, what can be refused, the end of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import NtStatusError
from kernellab.sources import build_text

SOURCE = Path(__file__).parent / "drivers" / "notify.rs"
LAB = r"HKLM\SOFTWARE\Lab"
DROPPED = [f"{name} dropped" for name in ("process", "thread", "image", "registry", "handle")]


RACE = SOURCE.with_name("notify_race.rs")


@pytest.fixture(scope="module")
def race() -> Path:
    return build_text("race", RACE.read_text(encoding="utf-8")).sys


@pytest.fixture(scope="module")
def notify() -> Path:
    return build_text("notify", SOURCE.read_text(encoding="utf-8")).sys


@pytest.mark.parametrize("seed", range(3))
def test_programs(notify: Path, seed: int) -> None:
    with kernellab.connect("sim", seed=seed) as target:
        driver = target.load(notify)
        start = len(driver.log.lines)
        process = target.spawn("notepad.exe", command_line="notepad x.txt")
        with pytest.raises(NtStatusError, match="STATUS_ACCESS_DENIED"):
            target.spawn("evil.exe")
        process.load_image("lab.dll")
        assert process.open(0x1F0FFF) == 0x1F0FFE
        process.exit_thread(process.start_thread())
        process.exit()
        lines = driver.log.lines[start:]
        driver.unload()
        assert target.violations == []
        assert lines[0] == 'create notepad.exe Some("notepad x.txt") true'
        assert 'image Some("notepad.exe") true false true' in lines
        assert 'create evil.exe Some("evil.exe") true' in lines and "exit evil.exe" in lines
        assert 'image Some("lab.dll") true false true' in lines
        assert "handle 0x1f0ffe of 0x1f0fff" in lines
        assert lines.count("thread true") == 2
        assert "exit notepad.exe" in lines and "thread exits" in lines
        assert driver.log.lines[-5:] == DROPPED


def test_a_release_build_unregisters_what_it_has_registered() -> None:
    """The routine's address is one and the same, whatever is inlined where."""
    built = build_text("notify", SOURCE.read_text(encoding="utf-8"), release=True)
    with kernellab.connect("sim") as target:
        driver = target.load(built.sys)
        driver.unload()
        assert driver.log.lines[-5:] == DROPPED
        assert target.violations == []


def test_the_registry(notify: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(notify)
        assert [line for line in driver.log.lines if ":" in line] == [
            "all taken: Some(STATUS_INSUFFICIENT_RESOURCES (0xC000009A))",
            "same altitude: Some(NTSTATUS 0xC01C0011)",
            "same altitude: Some(NTSTATUS 0xC01C0011)",
        ]
        start = len(driver.log.lines)
        lab = target.registry[LAB]
        lab["Depth"] = 5
        for name in ("Locked", "Bypass"):
            with pytest.raises(NtStatusError, match="STATUS_ACCESS_DENIED"):
                lab[name] = b"x"
        del lab["Depth"]
        with pytest.raises(NtStatusError, match="STATUS_DELETE_PENDING"):
            lab.delete()
        assert dict(lab) == {}
        lines = driver.log.lines[start:]
        driver.unload()
        assert [line for line in lines if not line.startswith("create key")] == [
            "set Lab Depth 4 Some([5, 0, 0, 0])",
            "set Lab Locked 3 Some([120])",
            "set Lab Bypass 3 Some([120])",
            "delete Depth",
            "delete key Lab",
        ]
        assert "create key Lab" in lines
        assert target.violations == []
        lab["Locked"] = 1  # nobody refuses it any more
        assert lab["Locked"] == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_closure_is_dropped_when_it_runs_nowhere(race: Path, seed: int) -> None:
    """Other threads cause notifications all the time; the driver's own assertions tell."""
    with kernellab.connect("sim", seed=seed, processors=1 + seed) as target:
        driver = target.load(race)
        driver.unload()
        assert driver.log.lines == ["called true"]
        assert target.violations == []


FORGOTTEN = """
use windows_kernel_rs::notify::{ProcessEvent, ProcessNotify, RegistryNotify, ThreadNotify};
use windows_kernel_rs::prelude::*;

struct Module;

impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self, Error> {
        core::mem::forget(ProcessNotify::try_new(|event| {
            let new = matches!(event, ProcessEvent::Create(_));
            if new { Err(Error::ACCESS_DENIED) } else { Ok(()) }
        })?);
        core::mem::forget(RegistryNotify::try_new(&driver, "380012", |_| Ok(()))?);
        drop(ThreadNotify::try_new(|_| ())?);
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
"""


def test_what_is_forgotten_is_reported_and_keeps_the_image() -> None:
    """A leak is no way to have code called that is gone: the driver object stays referenced."""
    with kernellab.connect("sim") as target:
        driver = target.load(build_text("forgotten", "#![forbid(unsafe_code)]" + FORGOTTEN).sys)
        with pytest.raises(NtStatusError, match="STATUS_ACCESS_DENIED"):
            target.spawn("notepad.exe")
        driver.unload()
        reports = [(report.rule, report.message) for report in target.violations]
        assert {rule for rule, _ in reports} == {"leak-callback", "leak-pool", "leak-reference"}
        kept = "2 references to the driver forgotten were not given back"
        assert ("leak-reference", kept) in reports
        target.spawn("notepad.exe").exit()
