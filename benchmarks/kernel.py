"""The simulated kernel itself: calls, threads, device requests, snapshots; a peer beside it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import kernellab
from kernellab.protocol import DbgPrint, Event
from kernellab.sources import build_text

from . import peers
from .harness import Row

_DRIVER = """\
use core::ffi::c_void;
use core::mem::MaybeUninit;
use windows_kernel_rs::sys::*;

static mut ONE: MaybeUninit<KEVENT> = MaybeUninit::zeroed();
static mut TWO: MaybeUninit<KEVENT> = MaybeUninit::zeroed();

#[allow(dead_code)]
unsafe extern "system" fn worker(_: *mut c_void) {
    unsafe { loop {
        KeWaitForSingleObject((&raw const ONE).cast(), 0, 0, 0, core::ptr::null());
        KeSetEvent((&raw mut TWO).cast(), 0, 0);
    } }
}

#[allow(dead_code)]
unsafe extern "system" fn dispatch(_: *mut DEVICE_OBJECT, irp: *mut IRP) -> i32 {
    unsafe {
        (*irp).IoStatus.Anonymous.Status = 0;
        (*irp).IoStatus.Information = 8;
        IofCompleteRequest(irp, 0);
    }
    0
}

#[allow(dead_code)]
const fn wide<const N: usize>(text: &str) -> [u16; N] {
    let mut units = [0; N];
    let mut at = 0;
    while at < N {
        units[at] = text.as_bytes()[at] as u16;
        at += 1;
    }
    units
}

#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(driver: *mut DRIVER_OBJECT, _: *mut UNICODE_STRING) -> i32 {
    let _ = driver;
    unsafe { BODY }
    0
}
"""

_CALLS = 300_000
_POOL = 20_000
_SWITCHES = 40_000
#: The peer prints fewer: it would take a minute.
_LINES, _PEER_LINES = 20_000, 500
_REQUESTS = 2_000

# What println! does, but for the counted format (%.*s), which the peer cannot read.
_PRINTS = """use core::fmt::Write;
    struct Line([u8; 128], usize);
    impl Write for Line {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0[self.1..self.1 + text.len()].copy_from_slice(text.as_bytes());
            self.1 += text.len();
            Ok(())
        }
    }
    for n in 0..LINES {
        let mut line = Line([0; 128], 0);
        let _ = write!(line, "line number {n} of the {}\\n", "benchmark");
        DbgPrintEx(77, 0, c"%s".as_ptr().cast(), line.0.as_ptr());
    }"""

_BODIES = {
    "calls": f"for _ in 0..{_CALLS} {{ KeGetCurrentIrql(); }}",
    "pool": f"for _ in 0..{_POOL} {{ ExFreePool(ExAllocatePool2(0x40, 64, 0x74736554)); }}",
    "switches": f"""KeInitializeEvent((&raw mut ONE).cast(), 1, 0);
        KeInitializeEvent((&raw mut TWO).cast(), 1, 0);
        let mut handle: HANDLE = core::ptr::null_mut();
        PsCreateSystemThread(&mut handle, 0x1FFFFF, core::ptr::null(), core::ptr::null_mut(),
            core::ptr::null_mut(), Some(worker), core::ptr::null_mut());
        for _ in 0..{_SWITCHES // 2} {{ KeSetEvent((&raw mut ONE).cast(), 0, 0);
            KeWaitForSingleObject((&raw const TWO).cast(), 0, 0, 0, core::ptr::null()); }}""",
    "lines": _PRINTS.replace("LINES", str(_LINES)),
    "alloc_and_print": _PRINTS.replace("LINES", str(_LINES))
    .replace("let mut line", "let p = ExAllocatePool2(0x40, 64, 0x74736554); let mut line")
    .replace("line.0.as_ptr());", "line.0.as_ptr()); ExFreePool(p);"),
    "few_lines": _PRINTS.replace("LINES", str(_PEER_LINES)),
    "device": r"""let name: [u16; 12] = wide(r"\Device\Echo");
        let link: [u16; 8] = wide(r"\??\Echo");
        let mut text: UNICODE_STRING = core::mem::zeroed();
        let mut other: UNICODE_STRING = core::mem::zeroed();
        text.Length = 24; text.MaximumLength = 24; text.Buffer = name.as_ptr().cast_mut();
        other.Length = 16; other.MaximumLength = 16; other.Buffer = link.as_ptr().cast_mut();
        let mut device = core::ptr::null_mut();
        IoCreateDevice(driver, 0, &raw mut text, 0x22, 0, 0, &mut device);
        IoCreateSymbolicLink(&raw mut other, &raw mut text);
        (*driver).MajorFunction = [Some(dispatch); 28];""",
}


def driver_image(name: str) -> Path:
    """The built driver called ``name`` in _BODIES."""
    return build_text(f"bench_{name}", _DRIVER.replace("BODY", _BODIES[name]), release=True).sys


def _seconds(image: Path, **options: int) -> float:
    """How long DriverEntry takes, start-up and mapping of the image left out as far as they go."""
    with kernellab.connect("sim", timeout=120, **options) as target:
        target.sleep(0.001)
        start = time.perf_counter()
        target.load(image)
        return time.perf_counter() - start


def kernel_rows(runs: int) -> list[Row]:
    """A row for each number of the kernel's own; slower ones with fewer runs."""
    few = min(runs, 5)
    images = {name: driver_image(name) for name in _BODIES}
    calls = [_CALLS / _seconds(images["calls"]) for _ in range(few)]
    pool = [2 * _POOL / _seconds(images["pool"]) for _ in range(few)]
    switches = [1e6 * _seconds(images["switches"], processors=1) / _SWITCHES for _ in range(few)]
    return [
        Row("exports called: KeGetCurrentIrql", calls, 300_000, "/s", smaller=False),
        Row("exports called: ExAllocatePool2, ExFreePool", pool, 100_000, "/s", smaller=False),
        Row("thread switch (KeSetEvent and wait included)", switches, 20, "us"),
        _verifier_row(images["alloc_and_print"], few),
        *_peer_rows(images["lines"], images["few_lines"], few),
        *_device_rows(images["device"], few),
    ]


def _verifier_row(image: Path, runs: int) -> Row:
    """Both sides alternately: the verifier on against off, as a ratio of the best of three."""
    ratios = []
    for _ in range(runs):
        on = min(_first_to_last(image) for _ in range(3))
        off = min(_first_to_last(image, verifier="off") for _ in range(3))
        ratios.append(on / off)
    return Row("verifier on against off, a driver that allocates and prints", ratios, 1.3, "x")


def _peer_rows(image: Path, short: Path, runs: int) -> list[Row]:
    mine = [_first_to_last(image) / (_LINES - 1) * 1e6 for _ in range(runs)]
    rows = [Row("one line formatted and printed, as println! does", mine, None, "us")]
    what = f"the same in {peers.SPEAKEASY}, times as long"
    try:
        python = peers.python_with(peers.SPEAKEASY)
        theirs = []
        for _ in range(min(runs, 3)):
            seconds, printed = peers.run(python, peers.SPEAKEASY_RUN, str(short))
            if printed < _PEER_LINES:
                raise peers.PeerMissing(f"it made {printed:.0f} of {_PEER_LINES} calls")
            theirs.append(seconds / _PEER_LINES * 1e6)
    except peers.PeerMissing as why:
        return [*rows, Row(f"{what}: {why}", [], 50, "x", smaller=False)]
    middle = sorted(mine)[len(mine) // 2]
    return [*rows, Row(what, [t / middle for t in theirs], 50, "x", smaller=False)]


def _first_to_last(image: Path, **options: str) -> float:
    times: list[float] = []

    def take(events: Sequence[Event]) -> None:
        if any(isinstance(e, DbgPrint) for e in events):
            times.append(time.perf_counter())

    with kernellab.connect("sim", timeout=120, **options) as target:
        target.subscribe(take)
        start = time.perf_counter()
        target.load(image)
        return times[-1] - start


def _device_rows(image: Path, runs: int) -> list[Row]:
    requests, restores = [], []
    with kernellab.connect("sim") as target:
        target.load(image)
        with target.open(r"\\.\Echo") as device:
            device.ioctl(0x222000, b"12345678", out_size=8)
            for _ in range(runs):
                start = time.perf_counter()
                for _ in range(_REQUESTS):
                    device.ioctl(0x222000, b"12345678", out_size=8)
                requests.append((time.perf_counter() - start) / _REQUESTS * 1e3)
            snapshot = target.snapshot()
            for _ in range(runs * 20):
                device.ioctl(0x222000, b"12345678", out_size=8)
                start = time.perf_counter()
                snapshot.restore()
                restores.append((time.perf_counter() - start) * 1e3)
    return [
        Row("buffered ioctl from Python, round trip", requests, 0.5, "ms"),
        Row("snapshot restored, from Python", restores, 1, "ms"),
    ]
