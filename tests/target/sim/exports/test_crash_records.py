"""The records whose addresses are bug checks' parameters: what is written there."""

from __future__ import annotations

import struct
from collections.abc import Generator

import pytest

from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.exceptions import read_context
from kernellab.target.sim.kernel.execution import Call
from kernellab.target.sim.machine.memory import PAGE

from .conftest import DRIVER, Guest

#: mov r12, imm64; xor eax, eax; the faulting instruction, at offset 12.
_SET = bytes.fromhex("49bc8877665544332211 31c0")
_READ_NULL = bytes.fromhex("488b4010")  # mov rax, [rax + 0x10]
_DIVIDE = bytes.fromhex("f7f0")  # div eax
_FAST_FAIL = bytes.fromhex("b903000000cd29")  # mov ecx, 3; int 0x29
_CODE = DRIVER + 0x800


def stop(guest: Guest, code: bytes, *, user: bool = False, irql: int = 0) -> BugCheck:
    """Run code that ends in a bug check."""
    guest.k.memory.write(_CODE, _SET + code)

    def activity() -> Generator[Call, int, int]:
        guest.k.cpu.irql = irql
        return (yield Call(_CODE, ()))

    with pytest.raises(BugCheck) as info:
        guest.k.run(activity(), "test", user=user)
    return info.value


def record(guest: Guest, at: int) -> tuple[int, ...]:
    """Status, flags, the next record, the address, and the parameters."""
    status, flags, following, address, count = struct.unpack("<IIQQI4x", guest.read(at, 32))
    return (
        status,
        flags,
        following,
        address,
        *struct.unpack(f"<{count}Q", guest.read(at + 32, 8 * count)),
    )


def test_a_system_thread(guest: Guest) -> None:
    """ "Bug Check 0x7E: SYSTEM_THREAD_EXCEPTION_NOT_HANDLED": both records."""
    check = stop(guest, _READ_NULL)
    assert check.name == "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"
    status, rip, at, context = check.parameters
    assert (status, rip) == (0xC0000005, _CODE + 12)
    assert record(guest, at) == (0xC0000005, 0, 0, rip, 0, 0x10)
    registers = read_context(guest.k, context)
    assert (registers["rip"], registers["r12"], registers["rax"]) == (rip, 0x1122334455667788, 0)
    flow = guest.k.flow
    assert check.report is not None and registers["rsp"] == check.report.registers["rsp"]
    assert flow.limit <= at < context < registers["rsp"] < flow.top


def test_a_system_service(guest: Guest) -> None:
    """ "Bug Check 0x3B: SYSTEM_SERVICE_EXCEPTION": the context only."""
    check = stop(guest, _DIVIDE, user=True)
    assert check.name == "SYSTEM_SERVICE_EXCEPTION"
    assert check.parameters[:2] == (0xC0000094, _CODE + 12) and check.parameters[3] == 0
    assert read_context(guest.k, check.parameters[2])["rip"] == _CODE + 12


def test_at_a_raised_irql(guest: Guest) -> None:
    """ "Bug Check 0x1E: KMODE_EXCEPTION_NOT_HANDLED": the exception's own parameters."""
    check = stop(guest, _DIVIDE, irql=2)
    assert check.name == "KMODE_EXCEPTION_NOT_HANDLED"
    assert check.parameters == (0xC0000094, _CODE + 12, 0, 0)
    # An address that no pointer can have is told as all ones.
    wild = bytes.fromhex("48b8000000000000adde488b00")  # mov rax, imm64; mov rax, [rax]
    check = stop(Guest(), wild, irql=2)
    assert check.parameters == (0xC0000005, _CODE + 22, 0, 0xFFFF_FFFF_FFFF_FFFF)


def test_a_fast_fail(guest: Guest) -> None:
    """ "Bug Check 0x139: KERNEL_SECURITY_CHECK_FAILURE": the record, with the code in it."""
    check = stop(guest, _FAST_FAIL)
    assert check.parameters[:2] == (3, 0) and check.parameters[3] == 0
    assert record(guest, check.parameters[2]) == (0xC0000409, 1, 0, _CODE + 17, 3)


def test_a_raised_exception_is_that_of_the_caller(guest: Guest) -> None:
    """WDK: "ExRaiseStatus function (wdm.h)": the context behind the call."""
    with pytest.raises(BugCheck) as info:
        guest.call("ExRaiseStatus", 0xC0000001)
    status, rip, at, context = info.value.parameters
    assert DRIVER <= rip < DRIVER + 0x20
    assert record(guest, at)[:4] == (0xC0000001, 1, 0, rip) and status == 0xC0000001
    assert read_context(guest.k, context)["rip"] == rip


def test_without_room_on_the_stack(guest: Guest) -> None:
    """A stack pointer that is wrong: the records are elsewhere, and nothing of it is lost."""
    block = guest.room(PAGE)
    code = b"\x48\xbc" + struct.pack("<Q", block + 64) + _READ_NULL  # mov rsp, imm64
    check = stop(guest, code)
    assert check.name == "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"
    assert read_context(guest.k, check.parameters[3])["rsp"] == block + 64
