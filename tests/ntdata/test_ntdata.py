"""The numbers that the simulator, the errors and the panes use."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kernellab import ntdata
from kernellab.ntdata import layout

ROOT = Path(__file__).parents[2]


def test_importing_reads_nothing() -> None:
    code = (
        "import sys, kernellab.ntdata as n; "
        "assert n._load.cache_info().currsize == 0; n.layout('IRP'); "
        "assert n._load.cache_info().currsize == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_status_names() -> None:
    assert ntdata.status_name(0) == "STATUS_SUCCESS"
    assert ntdata.status_name(0xC0000001) == "STATUS_UNSUCCESSFUL"
    assert ntdata.status_name(-1073741790) == "STATUS_ACCESS_DENIED"
    assert ntdata.status_name(0x12345) == "0x00012345"
    assert ntdata.status_code("STATUS_PENDING") == 0x103
    assert ntdata.status_code("STATUS_WAIT_0") == 0
    with pytest.raises(KeyError):
        ntdata.status_code("STATUS_NONE_SUCH")


@pytest.mark.parametrize(
    ("code", "success"),
    [(0, True), (0x103, True), (0x40000000, True), (0x80000005, False), (0xC0000001, False)],
)
def test_success_is_more_than_zero(code: int, success: bool) -> None:
    assert ntdata.nt_success(code) is success
    assert ntdata.nt_success(code - (1 << 32) if code >> 31 else code) is success


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (0x0A, "IRQL_NOT_LESS_OR_EQUAL"),
        (0x1E, "KMODE_EXCEPTION_NOT_HANDLED"),
        (0x50, "PAGE_FAULT_IN_NONPAGED_AREA"),
        (0x7E, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"),
        (0xBE, "ATTEMPTED_WRITE_TO_READONLY_MEMORY"),
        (0xC2, "BAD_POOL_CALLER"),
        (0xC4, "DRIVER_VERIFIER_DETECTED_VIOLATION"),
        (0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
        (0xE2, "MANUALLY_INITIATED_CRASH"),
        (0x139, "KERNEL_SECURITY_CHECK_FAILURE"),
    ],
)
def test_bug_checks(code: int, name: str) -> None:
    assert ntdata.bugcheck_name(code) == name
    assert ntdata.bugcheck_code(name) == code


def test_an_unknown_bug_check_is_its_number() -> None:
    assert ntdata.bugcheck_name(0xABCDE) == "0xABCDE"


def test_constants() -> None:
    assert ntdata.constant("IRP_MJ_MAXIMUM_FUNCTION") == ntdata.constant("IRP_MJ_PNP") == 0x1B
    assert ntdata.constant("POOL_FLAG_NON_PAGED") == 0x40
    assert ntdata.constant("HIGH_LEVEL") == 15
    assert ntdata.constants("METHOD_")["METHOD_NEITHER"] == 3
    with pytest.raises(KeyError):
        ntdata.constant("NONE_SUCH")


def test_fields_by_dotted_names() -> None:
    irp = layout("IRP")
    assert (irp.size, irp.align) == (208, 16)
    assert irp.offset("IoStatus") == irp.offset("IoStatus.Status") == 48
    assert irp.offset("IoStatus.Information") == 56
    assert irp.offset("Tail.Overlay.CurrentStackLocation") == 184
    assert irp.field("AssociatedIrp.SystemBuffer").size == 8
    assert layout("DEVICE_OBJECT").offset("DeviceLock.Header.SignalState") > 0
    for name in ("Nothing", "IoStatus.Nothing", "Type.Nothing"):
        with pytest.raises(KeyError):
            irp.field(name)
    with pytest.raises(KeyError):
        layout("NONE_SUCH")


def test_parameters_keep_their_pointer_alignment() -> None:
    """What Microsoft's metadata loses (the numbers are those of ``dt`` in the debugger)."""
    location = layout("IO_STACK_LOCATION")
    assert location.size == 72
    base = location.offset("Parameters")
    offsets = {
        "DeviceIoControl": {
            "OutputBufferLength": 0,
            "InputBufferLength": 8,
            "IoControlCode": 16,
            "Type3InputBuffer": 24,
        },
        "Read": {"Length": 0, "Key": 8, "ByteOffset": 16},
        "Write": {"Length": 0, "Key": 8, "ByteOffset": 16},
        "Create": {"SecurityContext": 0, "Options": 8, "FileAttributes": 16, "EaLength": 24},
    }
    for kind, fields in offsets.items():
        for field, offset in fields.items():
            assert location.offset(f"Parameters.{kind}.{field}") == base + offset, (kind, field)


def test_types_are_resolved() -> None:
    assert layout("IO_STATUS_BLOCK").field("Status").type == "i32"
    assert layout("IRP").field("PendingReturned").type == "u8"
    assert layout("IRP").field("CancelRoutine").type == "fn"
    assert re.fullmatch(r"\[fn; 28\]|\[DRIVER_DISPATCH; 28\]", _majors())


def _majors() -> str:
    field = layout("DRIVER_OBJECT").field("MajorFunction")
    assert (field.offset, field.size) == (112, 28 * 8)
    return field.type


def test_fields_lie_inside_their_struct() -> None:
    for name in ntdata._load("layouts.json")["structs"]:
        found = layout(name)
        for path, field in found.fields.items():
            assert 0 <= field.offset <= field.offset + field.size <= found.size, (name, path)
