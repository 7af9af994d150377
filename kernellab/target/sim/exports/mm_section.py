"""Sections and views. What they do is in :mod:`..kernel.section`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from ..kernel import fs_mapping
from ..kernel.attributes import (
    create_with_handle,
    handle_target,
    open_handle,
    open_named,
    read_attributes,
)
from ..kernel.fs import OpenFile
from ..kernel.ob import CURRENT_PROCESS, Object
from ..kernel.process import Process
from ..kernel.section import section_protection
from ..kernel.structs import const
from .registry import PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_NO_IMAGES: Final = (
    "SEC_IMAGE is refused with STATUS_NOT_SUPPORTED, and PAGE_WRITECOPY; a file handle's access is "
    "checked as a program's is"
)
_ALL_COMMITTED: Final = "all pages are committed at once"


def _process(k: Kernel, handle: int) -> Process:
    if handle == CURRENT_PROCESS:
        return k.thread.current_process
    found = handle_target(k, handle, "Process").payload
    assert isinstance(found, Process)
    return found


@export(
    "NTSTATUS ZwCreateSection(PHANDLE SectionHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, PLARGE_INTEGER MaximumSize, "
    "ULONG SectionPageProtection, ULONG AllocationAttributes, HANDLE FileHandle)",
    irql=PASSIVE_LEVEL,
    simplified=f"{_NO_IMAGES}; {_ALL_COMMITTED}",
)
@ntstatus
def ZwCreateSection(
    k: Kernel,
    SectionHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    MaximumSize: int,
    SectionPageProtection: int,
    AllocationAttributes: int,
    FileHandle: int,
) -> int:
    """WDK: "ZwCreateSection function (wdm.h)": of the paging file, or of a file of the volume."""
    if AllocationAttributes & const("SEC_IMAGE"):
        return const("STATUS_NOT_SUPPORTED")
    kinds = const("SEC_COMMIT"), const("SEC_RESERVE")
    if AllocationAttributes & ~const("SEC_NOCACHE") not in kinds:
        return const("STATUS_INVALID_PARAMETER_6")
    size = k.memory.u64(MaximumSize) if MaximumSize else 0
    if not size and not FileHandle:
        return const("STATUS_INVALID_PARAMETER_4")
    section_protection(SectionPageProtection)
    file = None
    if FileHandle:
        payload = handle_target(k, FileHandle, "File").payload
        if not isinstance(payload, OpenFile):
            return const("STATUS_INVALID_FILE_FOR_SECTION")
        file, size = payload, fs_mapping.checked(payload, SectionPageProtection, size)
    attributes, owner = read_attributes(k, ObjectAttributes), k.caller()
    make = partial(k.sections.create, size, SectionPageProtection, owner, file)
    handle, status = create_with_handle(k, attributes, "Section", make, DesiredAccess, owner)
    k.memory.set_u64(SectionHandle, handle)
    return status


@export(
    "NTSTATUS ZwOpenSection(PHANDLE SectionHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwOpenSection(k: Kernel, SectionHandle: int, DesiredAccess: int, ObjectAttributes: int) -> int:
    """WDK: "ZwOpenSection function (wdm.h)"."""
    attributes = read_attributes(k, ObjectAttributes)
    found = open_named(k, attributes, "Section")
    k.memory.set_u64(SectionHandle, open_handle(k, found, DesiredAccess, attributes, k.caller()))
    return 0


@export(
    "NTSTATUS ZwMapViewOfSection(HANDLE SectionHandle, HANDLE ProcessHandle, PVOID *BaseAddress, "
    "ULONG_PTR ZeroBits, SIZE_T CommitSize, PLARGE_INTEGER SectionOffset, PSIZE_T ViewSize, "
    "SECTION_INHERIT InheritDisposition, ULONG AllocationType, ULONG Win32Protect)",
    irql=PASSIVE_LEVEL,
    simplified=_ALL_COMMITTED,
)
@ntstatus
def ZwMapViewOfSection(
    k: Kernel,
    SectionHandle: int,
    ProcessHandle: int,
    BaseAddress: int,
    ZeroBits: int,
    CommitSize: int,
    SectionOffset: int,
    ViewSize: int,
    InheritDisposition: int,
    AllocationType: int,
    Win32Protect: int,
) -> int:
    """WDK: "ZwMapViewOfSection function (wdm.h)"."""
    if ZeroBits > 20:
        return const("STATUS_INVALID_PARAMETER_4")
    if InheritDisposition not in (const("ViewShare"), const("ViewUnmap")):
        return const("STATUS_INVALID_PARAMETER_8")
    top_down = const("MEM_TOP_DOWN")
    if AllocationType & ~(const("MEM_RESERVE") | top_down):
        return const("STATUS_INVALID_PARAMETER_9")
    section = handle_target(k, SectionHandle, "Section")
    offset = k.memory.u64(SectionOffset) if SectionOffset else 0
    base, size = k.sections.map(
        *(section, _process(k, ProcessHandle), k.memory.u64(BaseAddress), offset),
        *(k.memory.u64(ViewSize), Win32Protect),
        top_down=bool(AllocationType & top_down),
    )
    k.memory.set_u64(BaseAddress, base)
    k.memory.set_u64(ViewSize, size)
    if SectionOffset:
        k.memory.set_u64(SectionOffset, offset & -0x1_0000)
    return 0


@export(
    "NTSTATUS ZwUnmapViewOfSection(HANDLE ProcessHandle, PVOID BaseAddress)", irql=PASSIVE_LEVEL
)
@ntstatus
def ZwUnmapViewOfSection(k: Kernel, ProcessHandle: int, BaseAddress: int) -> int:
    """WDK: "ZwUnmapViewOfSection function (wdm.h)": any address inside the view will do."""
    k.sections.unmap(_process(k, ProcessHandle), BaseAddress)
    return 0


def _object(k: Kernel, address: int) -> Object | None:
    found = k.ob.get(address)
    return found if found.type == "Section" else None


@export(
    "NTSTATUS MmMapViewInSystemSpace(PVOID Section, PVOID *MappedBase, PSIZE_T ViewSize)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def MmMapViewInSystemSpace(k: Kernel, Section: int, MappedBase: int, ViewSize: int) -> int:
    """WDK: "MmMapViewInSystemSpace function (ntifs.h)": from the section's start on."""
    found = _object(k, Section)
    if found is None:
        return const("STATUS_OBJECT_TYPE_MISMATCH")
    base, size = k.sections.map_in_system(found, 0, k.memory.u64(ViewSize), k.caller())
    k.memory.set_u64(MappedBase, base)
    k.memory.set_u64(ViewSize, size)
    return 0


@export("NTSTATUS MmUnmapViewInSystemSpace(PVOID MappedBase)", irql=PASSIVE_LEVEL)
def MmUnmapViewInSystemSpace(k: Kernel, MappedBase: int) -> int:
    """WDK: "MmUnmapViewInSystemSpace function (ntifs.h)"; "Bug Check 0xD7"."""
    k.sections.unmap_in_system(MappedBase)
    return 0
