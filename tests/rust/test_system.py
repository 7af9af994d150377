"""Strings, registry, files, processes and time of the framework, in a driver without unsafe."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck
from kernellab.sources import build_text

SOURCE = Path(__file__).parent / "drivers" / "system.rs"
LAB = r"HKLM\SOFTWARE\Lab"


@pytest.fixture(scope="module")
def system() -> Path:
    return build_text("system", SOURCE.read_text(encoding="utf-8")).sys


def test_the_system(system: Path) -> None:
    with kernellab.connect("sim") as target:
        target.registry[LAB]["List"] = ["x", "yz"]
        for name in ("in", "old", "older"):
            target.files[rf"C:\{name}.txt"] = b"some text"
        process = target.spawn("notepad.exe")
        driver = target.load(system, parameters={"Depth": 5, "Pid": process.pid})
        driver.unload()
        assert driver.log.lines == [
            r'C:\Größe\Notepad.EXE "a\tb"',
            "false true true true",
            "depth 5 speed 9",
            "as text: Some(STATUS_OBJECT_TYPE_MISMATCH (0xC0000024))",
            "missing: Some(STATUS_OBJECT_NAME_NOT_FOUND (0xC0000034))",
            "read only: Some(STATUS_ACCESS_DENIED (0xC0000022))",
            "no key: Some(STATUS_OBJECT_NAME_NOT_FOUND (0xC0000034))",
            'list: ["x", "yz"]',
            "long: 1000",
            *("key A", "key B"),
            *("value List 7 12", "value Text 1 20", "value Data 3 3"),
            *("value Names 7 18", "value Long 1 2002"),
            'in: "some text"',
            "write to it: Some(STATUS_ACCESS_DENIED (0xC0000022))",
            'part: 5 "World"',
            "at the end: 0",
            "size 5",
            "missing: Some(STATUS_OBJECT_NAME_NOT_FOUND (0xC0000034))",
            "there: Some(STATUS_OBJECT_NAME_COLLISION (0xC0000035))",
            r"true \Device\HarddiskVolume1\Windows\System32\notepad.exe",
            "None true",
            "(true, true, true) true",
            "Some(NTSTATUS 0xC000000B)",
            "true",
            "TimeFields { year: 2024, month: 2, day: 29, hour: 12, minute: 0, second: 0, "
            "millisecond: 0, weekday: 4 }",
            "Some(1709208000s)",
            "Err(STATUS_INVALID_PARAMETER (0xC000000D))",
            *["true"] * 2,
            "true true",
            *["true"] * 3,
        ]
        assert target.violations == []
        lab = target.registry[LAB]
        assert dict(lab) == {
            "List": ["x", "yz"],
            "Text": "größer 😀",
            "Data": b"\1\2\3",
            "Names": ["one", "two"],
            "Again": b"\1\2\3",
        }
        assert lab.subkeys == ["B"]
        parameters = target.registry.parameters("system")
        assert parameters["Depth"] == 6 and parameters["Wide"] == 1 << 40
        assert target.files[r"C:\out.bin"] == b"hello"
        assert r"C:\old.txt" not in target.files and r"C:\older.txt" not in target.files


HIGH = """
#![forbid(unsafe_code)]
use windows_kernel_rs::irql::{self, Irql};
use windows_kernel_rs::prelude::*;
use windows_kernel_rs::registry::{Access, Key};
use windows_kernel_rs::u16str;

struct Module;

impl KernelModule for Module {
    fn init(_: Driver, _: &str) -> Result<Self, Error> {
        let _high = irql::raise(Irql::DISPATCH);
        Key::open(u16str!("\\\\Registry\\\\Machine"), Access::Read)?;
        Ok(Module)
    }

    fn cleanup(&mut self, _: Driver) {}
}

kernel_module!(Module);
"""


def test_what_is_for_passive_level_says_so() -> None:
    """In debug builds, before the kernel's own routine is called."""
    with kernellab.connect("sim") as target, pytest.raises(Bugcheck) as caught:
        target.load(build_text("high", HIGH).sys)
    assert caught.value.code == 0xE2
    assert "panicked at cell:" in caught.value.driver.log.text
    assert "Key::open may be called at PASSIVE_LEVEL" in caught.value.driver.log.text
