"""Memory of the framework: allocation that can fail, pools, free lists, pages, device registers."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.sources import build_text
from tests.drivers import driver_source

DRIVERS = Path(__file__).parent / "drivers"
FULL = "STATUS_INSUFFICIENT_RESOURCES (0xC000009A)"
SMALL = "STATUS_BUFFER_TOO_SMALL (0xC0000023)"
BAD = "STATUS_INVALID_PARAMETER (0xC000000D)"


@pytest.mark.parametrize("release", [False, True], ids=["debug", "release"])
def test_memory(release: bool) -> None:
    source = (DRIVERS / "memory.rs").read_text(encoding="utf-8")
    with kernellab.connect("sim") as target:
        driver = target.load(build_text("memory", source, release=release).sys)
        driver.unload()
        assert driver.log.lines == [
            "[0, 1, 2, 3, 4, 5, 6, 7] and more",
            f"Some({FULL})",
            f"ab Some({FULL})",
            "5000 34994",
            "3 dropped 0",
            "dropped 1",
            "0 () true",
            'Some("copied")',
            f"Some({FULL})",
            "4",
            "the same block: true",
            "190",
            "dropped 23",
            "10000 bytes, 3 pages",
            "Some(true)",
            "9 10000",
            f"Some({BAD})",
            "[0, 116, 101, 120, 116, 0] true",
            f"Err({SMALL}) Err({SMALL})",
            f"Some({BAD})",
        ]
        assert target.violations == []


def test_a_devices_registers() -> None:
    source = (DRIVERS / "io_space.rs").read_text(encoding="utf-8")
    registers = bytes([0, 0, 0, 0, 0x34, 0x12, 0, 0]) + bytes(8)
    with kernellab.connect("sim", device_memory={0xFED00000: registers}) as target:
        driver = target.load(build_text("io_space", source).sys)
        driver.unload()
        assert driver.log.lines == [
            "0x1234",
            "0xabcd 0xab",
            f"Some({BAD})",
            "Some(STATUS_DATATYPE_MISALIGNMENT (0x80000002))",
            f"Some({FULL})",
            f"Some({BAD})",
        ]
        assert target.violations == []


def test_paged_memory_is_out_of_reach_at_dispatch() -> None:
    """A debug build says so by name, before the page is touched."""
    body = """
        let table = windows_kernel_rs::mem::PagedBox::try_filled(
            9, 7u32, windows_kernel_rs::mem::Tag::RUST)?;
        let _raised = windows_kernel_rs::irql::raise(windows_kernel_rs::irql::Irql::DISPATCH);
        println!("{}", table[1]);
    """
    with kernellab.connect("sim") as target:
        driver = target.prepare(build_text("paged", driver_source(body)).sys)
        with pytest.raises(kernellab.Bugcheck) as caught:
            target.run(driver)
        assert caught.value.name == "MANUALLY_INITIATED_CRASH"
        said = "PoolBox<_, Paged> may be called at APC_LEVEL and below; the IRQL is DISPATCH_LEVEL"
        assert said in driver.log.lines[-1]
        assert any(frame.file == "cell" for frame in caught.value.frames)


def test_status_says_which_pool_it_is() -> None:
    body = (
        "use windows_kernel_rs::mem::{NonPaged, PagedBox, PoolBox, Tag};"
        'core::mem::forget(PagedBox::try_filled(5000, 1u8, Tag::new(b"Page"))?);'
        'core::mem::forget(PoolBox::<_, NonPaged>::try_new([0u8; 24], Tag::new(b"Here"))?);'
    )
    with kernellab.connect("sim") as target:
        target.load(build_text("pools", driver_source(body)).sys)
        assert target.status()["pool"] == {"Page": 5000, "Here": 24}
        assert target.status()["paged_pool"] == {"Page": 5000}
