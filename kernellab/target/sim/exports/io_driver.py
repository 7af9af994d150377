"""Driver objects: extensions, reinitialization, and what the system knows of hardware."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.structs import Struct, const, size_of
from ..kernel.system import Reinitialization
from .registry import APC_LEVEL, DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"DrvE", "little")


@export(
    "NTSTATUS IoAllocateDriverObjectExtension(PDRIVER_OBJECT DriverObject, "
    "PVOID ClientIdentificationAddress, ULONG DriverObjectExtensionSize, "
    "PVOID *DriverObjectExtension)",
    irql=APC_LEVEL,
)
def IoAllocateDriverObjectExtension(
    k: Kernel,
    DriverObject: int,
    ClientIdentificationAddress: int,
    DriverObjectExtensionSize: int,
    DriverObjectExtension: int,
) -> int:
    """WDK: "IoAllocateDriverObjectExtension function (wdm.h)": one a client address.

    Zeroed; the I/O manager frees it with the driver object.
    """
    key = DriverObject, ClientIdentificationAddress
    k.memory.set_u64(DriverObjectExtension, 0)
    if key in k.system.extensions:
        return const("STATUS_OBJECT_NAME_COLLISION")
    address = k.pool.allocate(DriverObjectExtensionSize, _TAG)
    if not address:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    k.system.extensions[key] = address
    k.memory.set_u64(DriverObjectExtension, address)
    return 0


@export(
    "PVOID IoGetDriverObjectExtension(PDRIVER_OBJECT DriverObject, "
    "PVOID ClientIdentificationAddress)",
    irql=DISPATCH_LEVEL,
)
def IoGetDriverObjectExtension(
    k: Kernel, DriverObject: int, ClientIdentificationAddress: int
) -> int:
    """WDK: "IoGetDriverObjectExtension function (wdm.h)": NULL where there is none."""
    return k.system.extensions.get((DriverObject, ClientIdentificationAddress), 0)


@export(
    "VOID IoRegisterDriverReinitialization(PDRIVER_OBJECT DriverObject, "
    "PDRIVER_REINITIALIZE DriverReinitializationRoutine, PVOID Context)",
    irql=PASSIVE_LEVEL,
)
def IoRegisterDriverReinitialization(
    k: Kernel, DriverObject: int, DriverReinitializationRoutine: int, Context: int
) -> None:
    """WDK: "IoRegisterDriverReinitialization function (ntddk.h)".

    The routine is called after DriverEntry has succeeded, with the count of its calls.
    """
    k.system.reinitializations.append(
        Reinitialization(DriverObject, DriverReinitializationRoutine, Context, k.caller())
    )


@export("PCONFIGURATION_INFORMATION IoGetConfigurationInformation(VOID)", irql=PASSIVE_LEVEL)
def IoGetConfigurationInformation(k: Kernel) -> int:
    """WDK: "IoGetConfigurationInformation function (ntddk.h)": counts that drivers keep up."""
    address = k.system.structure(k, "CONFIGURATION_INFORMATION")
    Struct(k.memory, "CONFIGURATION_INFORMATION", address)["Version"] = size_of(
        "CONFIGURATION_INFORMATION"
    )
    return address
