"""What drivers leave with the system: log entries, extensions, callbacks, file systems."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck
from kernellab.lab import Target
from kernellab.sources import build_path

from .conftest import Guest

DRIVERS = Path(__file__).parents[1] / "drivers"


@pytest.fixture(scope="module")
def image() -> Path:
    return build_path(DRIVERS / "system.rs").sys


@pytest.fixture
def target(image: Path) -> Iterator[Target]:
    with kernellab.connect("sim") as machine:
        machine.load(image)
        yield machine


def ask(target: Target, code: int) -> int:
    with target.open(r"\\.\System") as device:
        answer = device.ioctl(8 << 16 | (0x800 + code) << 2, out_size=8)
    return int.from_bytes(bytes(answer), "little")


def lines(target: Target) -> list[str]:
    return list(target.drivers["system"].log.lines)


def test_error_log_entries_reach_the_client(target: Target) -> None:
    """WDK: "IoAllocateErrorLogEntry", "IoWriteErrorLogEntry function (wdm.h)"."""
    assert ask(target, 9) == 0  # larger than ERROR_LOG_LIMIT_SIZE
    ask(target, 1)
    assert target.error_log == []
    ask(target, 0)
    (entry,) = target.error_log
    assert entry["driver"] == "system"
    assert entry["device"] == "\\Device\\System"
    assert entry["error"] == 0xC0040007
    assert entry["status"] == "STATUS_DEVICE_NOT_READY"
    assert (entry["unique"], entry["strings"]) == (42, ["hello"])
    assert bytes.fromhex(entry["dump"]) == struct.pack("<Q", 0x0102)
    assert target.violations == []


def test_an_error_log_entry_is_written_or_freed_once(target: Target) -> None:
    """WDK: "IoFreeErrorLogEntry function (ntddk.h)"."""
    with pytest.raises(Bugcheck) as caught:
        ask(target, 2)
    assert caught.value.name == "PAGE_FAULT_IN_FREED_SPECIAL_POOL"
    assert [v.rule for v in target.violations] == ["bad-argument"]


def test_an_error_log_entry_that_was_not_written_is_a_leak(target: Target) -> None:
    ask(target, 3)
    target.drivers["system"].unload()
    assert [v.rule for v in target.violations] == ["leak-pool"]


def test_driver_object_extensions(target: Target) -> None:
    """WDK: "IoAllocateDriverObjectExtension", "IoGetDriverObjectExtension function (wdm.h)"."""
    assert ask(target, 10) == 0
    assert lines(target)[-2:] == ["0 c0000035 0", "true true"]
    target.drivers["system"].unload()
    assert target.violations == []


def test_reinitialization_follows_driver_entry(target: Target) -> None:
    """WDK: "IoRegisterDriverReinitialization function (ntddk.h)"."""
    assert lines(target) == [
        "entry",
        "reinitialization 1, context 10",
        "reinitialization 2, context 11",
        "reinitialization 3, context 12",
    ]


def test_bug_check_callbacks_run_at_high_level(target: Target) -> None:
    """WDK: "KeRegisterBugCheckCallback", "KeRegisterBugCheckReasonCallback function (wdm.h)"."""
    assert ask(target, 11) == 0x101
    with pytest.raises(Bugcheck):
        ask(target, 14)
    assert lines(target)[4:] == [
        "bug check callback: 16 bytes, the first is 7, IRQL 15",
        "reason true, true bytes, room 4096",
    ]


def test_bug_check_callbacks_can_be_taken_back(target: Target) -> None:
    """WDK: "KeDeregisterBugCheckCallback", "KeDeregisterBugCheckReasonCallback function"."""
    ask(target, 11)
    assert ask(target, 12) == 0x101
    with pytest.raises(Bugcheck):
        ask(target, 14)
    assert len(lines(target)) == 4


def test_debug_print_callback_sees_what_is_printed(target: Target) -> None:
    """WDK: "DbgSetDebugPrintCallback function (wdm.h)"."""
    assert ask(target, 13) == 0xC0000225  # registered twice, so taken back twice, not three times
    log = lines(target)[4:]
    assert log[:5] == ["seen 5", "(callback)", "at 0", "(callback)", "(callback)"]
    # SYNCH_LEVEL, component and level of println, the start of "at 0".
    assert log[5:] == ["unseen", f"12 77 0 {list(b'at 0')}"]
    assert target.violations == []


def test_callbacks_left_behind_are_reported(target: Target) -> None:
    ask(target, 21)
    target.drivers["system"].unload()
    assert [v.rule for v in target.violations] == ["leak-callback", "leak-callback"]


def test_stack_limits_and_previous_mode(target: Target) -> None:
    """WDK: "IoGetStackLimits function (wdm.h)", "ExGetPreviousMode function (wdm.h)"."""
    assert ask(target, 15) == 0x10
    assert lines(target)[4:] == ["true 0x6000 true", "mode 1 64"]


def test_vpb_spin_lock(target: Target) -> None:
    """WDK: "IoAcquireVpbSpinLock", "IoReleaseVpbSpinLock function (ntifs.h)"."""
    assert ask(target, 16) == 0x200


def test_device_to_verify_belongs_to_a_thread(target: Target) -> None:
    """WDK: "IoSetDeviceToVerify function (ntifs.h)", "IoSetHardErrorOrVerifyDevice function"."""
    assert ask(target, 17) == 0x111


def test_informational_hard_errors(target: Target) -> None:
    """WDK: "IoRaiseInformationalHardError", "IoSetThreadHardErrorMode function"."""
    assert ask(target, 18) == 0x101
    (entry,) = target.error_log
    assert (entry["hard_error"], entry["strings"]) == ("STATUS_DISK_FULL", ["disk"])


def test_configuration_information_is_shared(target: Target) -> None:
    """WDK: "IoGetConfigurationInformation function (ntddk.h)"."""
    assert ask(target, 19) == 3
    assert ask(target, 19) == 6


def test_file_systems_are_announced(target: Target) -> None:
    """WDK: "IoRegisterFileSystem", "IoRegisterFsRegistrationChange function (ntifs.h)"."""
    assert ask(target, 20) == 0
    assert lines(target)[4:] == ["file system true 1", "registered", "file system true 0"]


def test_processors_are_described(guest: Guest) -> None:
    """WDK: "KeQueryLogicalProcessorRelationship function (ntddk.h)"."""
    length = guest.put(bytes(4))
    status = guest.call("KeQueryLogicalProcessorRelationship", 0, 0, 0, length)
    assert status & 0xFFFFFFFF == 0xC0000004
    size = int.from_bytes(guest.read(length, 4), "little")
    assert size == 2 * 48
    room = guest.room(size)
    assert guest.call("KeQueryLogicalProcessorRelationship", 0, 0, room, length) == 0
    cores = guest.read(room, size)
    assert [struct.unpack_from("<II", cores, n) for n in (0, 48)] == [(0, 48), (0, 48)]
    assert [struct.unpack_from("<Q", cores, n + 32)[0] for n in (0, 48)] == [1, 2]
    guest.k.memory.set_u32(length, 4096)
    room = guest.room(4096)
    assert guest.call("KeQueryLogicalProcessorRelationship", 0, 4, room, length) == 0
    group = guest.read(room, 80)
    assert struct.unpack_from("<IIHH", group) == (4, 80, 1, 1)
    assert struct.unpack_from("<BB38xQ", group, 32) == (2, 2, 3)


def test_unique_identifiers_repeat_with_the_seed(guest: Guest) -> None:
    """WDK: "ExUuidCreate function (wdm.h)"."""
    at = guest.room(16)
    made = []
    for _ in range(2):
        assert guest.call("ExUuidCreate", at) == 0
        made.append(uuid.UUID(bytes_le=guest.read(at, 16)))
    assert made[0] != made[1]
    assert made[0].version == 4
    other = Guest()
    at = other.room(16)
    other.call("ExUuidCreate", at)
    assert uuid.UUID(bytes_le=other.read(at, 16)) == made[0]


@pytest.mark.parametrize("name", ["ExIsProcessorFeaturePresent", "RtlIsProcessorFeaturePresent"])
def test_processor_features(guest: Guest, name: str) -> None:
    """WDK: "ExIsProcessorFeaturePresent function (wdm.h)": SSE2 is there, AVX-512 is not."""
    assert guest.call(name, 10) == 1
    assert guest.call(name, 41) == 0


def test_debug_filter_masks(guest: Guest) -> None:
    """WDK: "Reading and Filtering Debugging Messages"."""
    assert guest.call("DbgQueryDebugFilterState", 77, 0) == 1
    assert guest.call("DbgQueryDebugFilterState", 77, 3) == 0
    assert guest.call("DbgSetDebugFilterState", 77, 3, 1) == 0
    assert guest.call("DbgQueryDebugFilterState", 77, 3) == 1
    assert guest.call("DbgQueryDebugFilterState", 101, 3) == 0
    assert guest.call("DbgSetDebugFilterState", 77, 3, 0) == 0
    assert guest.call("DbgQueryDebugFilterState", 77, 3) == 0
    assert guest.call("DbgSetDebugFilterState", 0x9B, 3, 1) & 0xFFFFFFFF == 0xC00000EF


def test_sections_of_files(guest: Guest) -> None:
    """WDK: "MmFlushImageSection", "MmCanFileBeTruncated function (ntifs.h)"."""
    free, image, data = (
        guest.put(struct.pack("<QQQ", *fields)) for fields in ((0, 0, 0), (0, 0, 1), (1, 0, 0))
    )
    size = guest.put(bytes(8))
    delete, write = 0, 1
    assert guest.call("MmFlushImageSection", free, delete) == 1
    assert guest.call("MmFlushImageSection", image, write) == 0
    assert guest.call("MmFlushImageSection", data, write) == 1
    assert guest.call("MmFlushImageSection", data, delete) == 0
    assert guest.call("MmCanFileBeTruncated", free, size) == 1
    assert guest.call("MmCanFileBeTruncated", data, size) == 0
