"""The recorder: what is in a trace, that it is repeatable, that nothing of it is left when off."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import Bugcheck, TargetTimeout, UsageError
from kernellab.lab import Target
from kernellab.sources import build_path
from kernellab.target.sim import exports, verify
from kernellab.target.sim.kernel.kernel import Kernel
from kernellab.target.sim.machine.cpu import Cpu
from kernellab.target.sim.recorder import Recorder
from kernellab.trace import Trace, TraceEvent
from kernellab.tracefile import MOST

from .conftest import DRIVERS
from .execution import prelude
from .test_pending import LATER, NAME

Build = Callable[..., BuildResult]


@pytest.fixture(scope="session")
def pending() -> Path:
    return build_path(DRIVERS / "pending.rs").sys


@pytest.fixture(scope="session")
def interrupt() -> Path:
    return build_path(DRIVERS / "interrupt.rs").sys


def of(trace: Trace, kind: str, name: str = "") -> list[TraceEvent]:
    """The events of a kind whose names contain ``name``."""
    return [event for event in trace.events if event.kind == kind and name in event.name]


def inside(inner: TraceEvent, outer: TraceEvent) -> bool:
    """Whether a span is nested in another of its track."""
    end = outer.begin + outer.length
    return (
        inner.track_id == outer.track_id
        and inner.depth > outer.depth
        and outer.begin <= inner.begin
        and inner.begin + inner.length <= end
    )


def test_a_driver_from_its_entry_to_its_unload(target: Target, hello: Path) -> None:
    with target.trace() as trace:
        driver = target.load(hello)
        driver.unload()
    entry, unload = of(trace, "routine", "DriverEntry")[0], of(trace, "routine", "DriverUnload")[0]
    assert entry.result == "STATUS_SUCCESS"
    prints = of(trace, "call", "DbgPrint")
    assert [event.driver for event in prints] == ["hello", "hello"]
    assert inside(prints[0], entry) and inside(prints[1], unload)
    assert inside(entry, of(trace, "service", "IopLoadDriver")[0])
    # The line of the driver's own source, though the call is in the library's print routine.
    assert str(prints[0].place) == "cell:7"
    assert [event.name for event in of(trace, "print")] == driver.log.lines
    assert [event.time for event in of(trace, "print")] == [r.time for r in driver.log]
    marks = [event.name for event in of(trace, "mark")]
    assert marks == ["hello was loaded", "hello was unloaded"]
    assert not trace.recording
    assert trace.dropped == 0
    assert driver.trace is trace


def test_a_request_through_its_dispatch_routine_timer_and_dpc(
    target: Target, pending: Path
) -> None:
    driver = target.load(pending)
    with target.trace() as trace, target.open(NAME) as device:
        device.ioctl(LATER, (5).to_bytes(4, "little"), 4)
    control = [e.result for e in of(trace, "irp", "DEVICE_CONTROL")]
    assert control == ["sent", "pending", "completed STATUS_SUCCESS", "freed"]
    service = of(trace, "service", "NtDeviceIoControlFile")[0]
    dispatched = [e for e in of(trace, "routine", "dispatch") if inside(e, service)]
    assert [e.result for e in dispatched] == ["STATUS_PENDING"]
    assert dispatched[0].name == "pending::dispatch (a dispatch routine)"
    (ran,) = of(trace, "routine", "timer_dpc")
    assert ran.begin >= dispatched[0].begin + 50_000
    assert ran.track == f"CPU {ran.processor} DPCs"
    assert {e.track for e in of(trace, "call", "IofCompleteRequest") if inside(e, ran)}
    levels = [(e.value, e.begin) for e in of(trace, "irql") if e.processor == ran.processor]
    assert (2, ran.begin) in levels
    assert levels[-1][0] == 0
    (queued,) = of(trace, "queued", "timer_dpc")
    assert queued.begin <= ran.begin
    driver.unload()


def test_interrupts_are_at_their_level_on_a_track_of_their_own(
    target: Target, interrupt: Path
) -> None:
    driver = target.load(interrupt)
    with target.trace() as trace, target.open(r"\\.\Interrupt") as device:
        device.ioctl(0x22_0000 | 0x800 << 2, out_size=8)
        target.interrupt(0x51)
    service = of(trace, "routine", "::service")
    assert service, [e.name for e in of(trace, "routine")]
    assert service[0].track == f"CPU {service[0].processor} interrupts"
    assert 5 in {e.value for e in of(trace, "irql") if e.processor == service[0].processor}
    assert len(of(trace, "routine", "deferred")) == len(service)
    arrows = [e["ph"] for e in trace.to_chrome()["traceEvents"] if e.get("cat") == "dpc-flow"]
    assert arrows == ["s", "f"] * len(service)
    driver.unload(close_handles=True)


@pytest.mark.seeds(any_order=True)
def test_threads_and_who_ran_when(target: Target, build_driver: Build) -> None:
    body = "unsafe { let t = spawn(worker, 0); join(t); }"
    extra = 'unsafe extern "system" fn worker(_: *mut c_void) { sleep(5); println!("worked"); }'
    image = build_driver("tthreads", body, extra=prelude(extra)).sys
    with target.trace() as trace:
        target.load(image).unload()
    (worked,) = of(trace, "routine", "worker")
    assert worked.length >= 50_000
    assert worked.track.endswith("worker") and worked.track.startswith("thread ")
    assert worked.pid == 4
    runs = [e for e in of(trace, "run") if e.track_id == worked.track_id]
    # It ran, waited five milliseconds while it had no processor, and ran again.
    assert len(runs) >= 2
    assert sum(e.length for e in runs) < worked.length
    (waited,) = of(trace, "call", "KeDelayExecutionThread")
    assert inside(waited, worked) and waited.length >= 50_000
    for number in range(trace.processors):
        on = sorted(
            (e.begin, e.begin + e.length) for e in of(trace, "run") if e.processor == number
        )
        assert all(one[1] <= two[0] for one, two in pairwise(on))


def test_pool_by_tag(target: Target, build_driver: Build) -> None:
    body = (
        "let p = unsafe { windows_kernel_rs::sys::ExAllocatePool2(64, 100, 0x31676154) };"
        "unsafe { windows_kernel_rs::sys::ExFreePoolWithTag(p, 0x31676154) };"
    )
    image = build_driver("tpool", body).sys
    with target.trace() as trace:
        target.load(image).unload()
    assert [e.value for e in of(trace, "pool", "Tag1")] == [100, 0]


def test_spans_nest_on_every_track(target: Target, pending: Path) -> None:
    with target.trace() as trace:
        driver = target.load(pending)
        with target.open(NAME) as device:
            device.ioctl(LATER, (5).to_bytes(4, "little"), 4)
        driver.unload()
    tracks = {e.track_id for e in trace.spans}
    for track in tracks:
        stack: list[TraceEvent] = []
        own = [e for e in trace.spans if e.track_id == track and e.kind != "run"]
        for event in own:
            while stack and stack[-1].depth >= event.depth:
                stack.pop()
            assert not stack or inside(event, stack[-1]), (event, stack[-1])
            stack.append(event)


def test_a_bug_check_is_the_end_of_its_trace(target: Target, faults: Path) -> None:
    trace = target.start_trace()
    driver = target.prepare(faults, name="entry_null_write")
    with pytest.raises(Bugcheck):
        target.run(driver)
    assert driver.trace is trace
    (check,) = of(trace, "bugcheck")
    assert driver.bugcheck is not None
    assert check.name == driver.bugcheck.name
    (entry,) = of(trace, "routine", "DriverEntry")
    assert entry.open
    assert trace.recording
    target.reboot()  # it is kept where its machine goes
    assert not trace.recording
    assert of(trace, "bugcheck") == [check]


@pytest.mark.seeds("never ends on its own", never=True)
def test_a_driver_that_hangs(target: Target, build_driver: Build) -> None:
    image = build_driver("thang", 'println!("before"); loop { core::hint::spin_loop(); }').sys
    trace = target.start_trace()
    with pytest.raises(TargetTimeout):
        target.load(image, budget=200_000)
    assert [e.name for e in of(trace, "print")] == ["before"]
    assert of(trace, "routine", "DriverEntry")[0].open
    target.stop_trace()


def test_a_full_trace_lets_the_oldest_go(target: Target, build_driver: Build) -> None:
    body = 'for n in 0..200 { println!("line {n}"); }'
    with target.trace(size=50) as trace:
        driver = target.load(build_driver("tfull", body).sys)
        driver.unload()
    assert len(trace) == 50
    assert trace.dropped > 350
    assert of(trace, "print")[-1].name == driver.log.lines[-1]
    assert "older ones dropped" in trace.summary


def test_it_is_asked_for_once_at_a_time(target: Target, hello: Path) -> None:
    with pytest.raises(UsageError, match="no trace is being recorded"):
        target.stop_trace()
    target.start_trace()
    with pytest.raises(UsageError, match="stop_trace"):
        target.start_trace()
    target.stop_trace()
    for size in (0, -1, MOST + 1):
        with pytest.raises(UsageError, match="events"):
            target.start_trace(size)
    with pytest.raises(UsageError, match="not a number"):
        target.start_trace("many")  # type: ignore[arg-type]
    driver = target.load(hello)
    with pytest.raises(UsageError, match="--trace"):
        _ = driver.trace


def test_time_goes_on_where_a_snapshot_is_restored(target: Target, hello: Path) -> None:
    trace = target.start_trace()
    target.sleep(1)
    snapshot = target.snapshot()
    target.load(hello)
    target.sleep(3)
    snapshot.restore()
    target.load(hello).unload()
    target.stop_trace()
    (restored,) = of(trace, "mark", "restored")
    entries = of(trace, "routine", "DriverEntry")
    assert entries[0].time == pytest.approx(1, abs=0.1)
    assert entries[1].begin >= restored.begin >= 40_000_000
    assert not any(event.open for event in trace.events)


@pytest.mark.seeds("two machines", never=True)
def test_the_same_seed_gives_the_same_trace_byte_for_byte(
    build_driver: Build, tmp_path: Path
) -> None:
    body = "unsafe { let a = spawn(count, 0); let b = spawn(count, 0); join(a); join(b); }"
    extra = (
        'unsafe extern "system" fn count(_: *mut c_void) {'
        " for _ in 0..300 { COUNT.fetch_add(u32::from(irql()) + 1, Ordering::SeqCst); } }"
    )
    image = build_driver("tseeds", body, extra=prelude(extra)).sys
    written: list[bytes] = []
    for seed in (7, 7, 8):
        with kernellab.connect("sim", seed=seed) as machine:
            with machine.trace() as trace:
                machine.load(image).unload()
            written.append(trace.save(tmp_path / f"{len(written)}.json").read_bytes())
    assert written[0] == written[1]
    assert written[0] != written[2]


def test_recording_changes_nothing_of_what_happens(target: Target, pending: Path) -> None:
    logs = []
    for traced in (False, True):
        target.reboot()
        if traced:
            target.start_trace()
        driver = target.load(pending)
        with target.open(NAME) as device:
            device.ioctl(LATER, (5).to_bytes(4, "little"), 4)
        driver.unload()
        logs.append([(r.time, r.text, r.thread, r.irql) for r in driver.log])
    target.stop_trace()
    assert logs[0] == logs[1]


def test_what_records_is_gone_afterwards() -> None:
    """Off, a machine is as it was made: no handler, listener or class of the recorder's is left."""
    k = Kernel(exports.table(), lambda *_: None)
    verify.attach(k, "on")
    handlers, emit = list(k.cpu.handlers), k.emit
    listening = {name: list(each) for name, each in k.bus._listeners.items()}
    recorder = Recorder(k, 10)
    assert k.cpu.handlers != handlers
    assert type(k.cpu) is not Cpu
    recorder.stop()
    assert k.cpu.handlers == handlers
    assert k.emit is emit
    assert type(k.cpu) is Cpu
    assert k.bus._listeners == listening
