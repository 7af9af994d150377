"""The registry: keys and values by handle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel import cm_service as cm
from ..kernel.attributes import Attributes, handle_target, read_attributes
from ..kernel.cm import SERVICES
from ..kernel.execution import Steps
from ..kernel.structs import const, read_unicode_string
from .registry import PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel
    from ..kernel.ob import Object

#: DriverRegKeyParameters of DRIVER_REGKEY_TYPE.
_PARAMETERS = 0


def _key(k: Kernel, handle: int) -> Object:
    return handle_target(k, handle, "Key")


def _name(k: Kernel, pointer: int) -> str:
    """A value's name: none, or one without a buffer, is the default value's."""
    return read_unicode_string(k.memory, pointer) if pointer else ""


def open_key(k: Kernel, opening: cm.Opening, out: int, disposition: int = 0) -> Steps:
    """Open or create a key and tell the caller its handle."""
    status = yield from cm.NtCreateKey(opening)
    if status == 0:
        k.memory.set_u64(out, opening.handle)
        if disposition:
            k.memory.set_u32(disposition, opening.disposition)
    return status


@export(
    "NTSTATUS ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, ULONG TitleIndex, PUNICODE_STRING Class, "
    "ULONG CreateOptions, PULONG Disposition)",
    irql=PASSIVE_LEVEL,
    simplified="no security; backup and restore semantics are ignored",
)
@ntstatus
def ZwCreateKey(
    k: Kernel,
    KeyHandle: int,
    DesiredAccess: int,
    ObjectAttributes: int,
    TitleIndex: int,
    Class: int,
    CreateOptions: int,
    Disposition: int,
) -> Steps:
    """WDK: "ZwCreateKey function (wdm.h)": one new key at most, below one that exists."""
    opening = cm.Opening(
        *(k, read_attributes(k, ObjectAttributes), DesiredAccess, k.caller(), True),
        *(CreateOptions, _name(k, Class)),
    )
    return open_key(k, opening, KeyHandle, Disposition)


@export(
    "NTSTATUS ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes)",
    irql=PASSIVE_LEVEL,
    simplified="no security",
)
@ntstatus
def ZwOpenKey(k: Kernel, KeyHandle: int, DesiredAccess: int, ObjectAttributes: int) -> Steps:
    """WDK: "ZwOpenKey function (wdm.h)"."""
    attributes = read_attributes(k, ObjectAttributes)
    return open_key(k, cm.Opening(k, attributes, DesiredAccess, k.caller(), False), KeyHandle)


@export(
    "NTSTATUS ZwOpenKeyEx(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, ULONG OpenOptions)",
    irql=PASSIVE_LEVEL,
    simplified="no security; backup and restore semantics are ignored",
)
@ntstatus
def ZwOpenKeyEx(
    k: Kernel, KeyHandle: int, DesiredAccess: int, ObjectAttributes: int, OpenOptions: int
) -> Steps:
    """WDK: "ZwOpenKeyEx function (wdm.h)"."""
    attributes = read_attributes(k, ObjectAttributes)
    opening = cm.Opening(k, attributes, DesiredAccess, k.caller(), False, OpenOptions)
    return open_key(k, opening, KeyHandle)


@export(
    "NTSTATUS ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG TitleIndex, "
    "ULONG Type, PVOID Data, ULONG DataSize)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwSetValueKey(
    k: Kernel,
    KeyHandle: int,
    ValueName: int,
    TitleIndex: int,
    Type: int,
    Data: int,
    DataSize: int,
) -> Steps:
    """WDK: "ZwSetValueKey function (wdm.h)"."""
    data = k.memory.read(Data, DataSize) if DataSize else b""
    return cm.NtSetValueKey(k, _key(k, KeyHandle), _name(k, ValueName), Type, data)


@export(
    "NTSTATUS ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, "
    "ULONG KeyValueInformationClass, PVOID KeyValueInformation, ULONG Length, "
    "PULONG ResultLength)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwQueryValueKey(
    k: Kernel,
    KeyHandle: int,
    ValueName: int,
    KeyValueInformationClass: int,
    KeyValueInformation: int,
    Length: int,
    ResultLength: int,
) -> Steps:
    """WDK: "ZwQueryValueKey function (wdm.h)"."""
    return cm.NtQueryValueKey(
        *(k, _key(k, KeyHandle), _name(k, ValueName), KeyValueInformationClass),
        *(KeyValueInformation, Length, ResultLength),
    )


@export(
    "NTSTATUS ZwEnumerateKey(HANDLE KeyHandle, ULONG Index, ULONG KeyInformationClass, "
    "PVOID KeyInformation, ULONG Length, PULONG ResultLength)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwEnumerateKey(
    k: Kernel,
    KeyHandle: int,
    Index: int,
    KeyInformationClass: int,
    KeyInformation: int,
    Length: int,
    ResultLength: int,
) -> Steps:
    """WDK: "ZwEnumerateKey function (wdm.h)"."""
    return cm.NtEnumerateKey(
        *(k, _key(k, KeyHandle), Index, KeyInformationClass, KeyInformation, Length, ResultLength)
    )


@export(
    "NTSTATUS ZwEnumerateValueKey(HANDLE KeyHandle, ULONG Index, "
    "ULONG KeyValueInformationClass, PVOID KeyValueInformation, ULONG Length, "
    "PULONG ResultLength)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwEnumerateValueKey(
    k: Kernel,
    KeyHandle: int,
    Index: int,
    KeyValueInformationClass: int,
    KeyValueInformation: int,
    Length: int,
    ResultLength: int,
) -> Steps:
    """WDK: "ZwEnumerateValueKey function (wdm.h)"."""
    return cm.NtEnumerateValueKey(
        *(k, _key(k, KeyHandle), Index, KeyValueInformationClass),
        *(KeyValueInformation, Length, ResultLength),
    )


@export(
    "NTSTATUS ZwQueryKey(HANDLE KeyHandle, ULONG KeyInformationClass, PVOID KeyInformation, "
    "ULONG Length, PULONG ResultLength)",
    irql=PASSIVE_LEVEL,
    simplified="flags, virtualization and handle tags are refused",
)
@ntstatus
def ZwQueryKey(
    k: Kernel,
    KeyHandle: int,
    KeyInformationClass: int,
    KeyInformation: int,
    Length: int,
    ResultLength: int,
) -> Steps:
    """WDK: "ZwQueryKey function (wdm.h)"."""
    return cm.NtQueryKey(
        *(k, _key(k, KeyHandle), KeyInformationClass, KeyInformation, Length, ResultLength)
    )


@export("NTSTATUS ZwDeleteKey(HANDLE KeyHandle)", irql=PASSIVE_LEVEL)
@ntstatus
def ZwDeleteKey(k: Kernel, KeyHandle: int) -> Steps:
    """WDK: "ZwDeleteKey function (wdm.h)": STATUS_CANNOT_DELETE where it has subkeys."""
    return cm.NtDeleteKey(k, _key(k, KeyHandle))


@export(
    "NTSTATUS ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName)", irql=PASSIVE_LEVEL
)
@ntstatus
def ZwDeleteValueKey(k: Kernel, KeyHandle: int, ValueName: int) -> Steps:
    """WDK: "ZwDeleteValueKey function (wdm.h)"."""
    return cm.NtDeleteValueKey(k, _key(k, KeyHandle), _name(k, ValueName))


@export("NTSTATUS ZwRenameKey(HANDLE KeyHandle, PUNICODE_STRING NewName)", irql=PASSIVE_LEVEL)
@ntstatus
def ZwRenameKey(k: Kernel, KeyHandle: int, NewName: int) -> Steps:
    """WDK: "REG_RENAME_KEY_INFORMATION structure (wdm.h)"."""
    return cm.NtRenameKey(k, _key(k, KeyHandle), _name(k, NewName))


@export(
    "NTSTATUS ZwFlushKey(HANDLE KeyHandle)",
    irql=PASSIVE_LEVEL,
    simplified="the registry is in memory only",
)
@ntstatus
def ZwFlushKey(k: Kernel, KeyHandle: int) -> Steps:
    """WDK: "ZwFlushKey function (wdm.h)"."""
    return cm.NtFlushKey(k, _key(k, KeyHandle))


@export(
    "NTSTATUS IoOpenDriverRegistryKey(PDRIVER_OBJECT DriverObject, ULONG RegKeyType, "
    "ACCESS_MASK DesiredAccess, ULONG Flags, PHANDLE DriverRegKey)",
    irql=PASSIVE_LEVEL,
    simplified="DriverRegKeyParameters only",
)
@ntstatus
def IoOpenDriverRegistryKey(
    k: Kernel,
    DriverObject: int,
    RegKeyType: int,
    DesiredAccess: int,
    Flags: int,
    DriverRegKey: int,
) -> int | Steps:
    """WDK: "IoOpenDriverRegistryKey function (wdm.h)": a kernel handle to the Parameters key."""
    if RegKeyType != _PARAMETERS or Flags:
        return const("STATUS_INVALID_PARAMETER")
    obj = k.ob.get(DriverObject)
    if obj.type != "Driver":
        return const("STATUS_INVALID_PARAMETER")
    flags = const("OBJ_KERNEL_HANDLE") | const("OBJ_CASE_INSENSITIVE")
    attributes = Attributes(0, f"{SERVICES}\\{obj.name}\\Parameters", flags)
    opening = cm.Opening(k, attributes, DesiredAccess, k.caller(), True)
    return open_key(k, opening, DriverRegKey)
