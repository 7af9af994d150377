r"""Loading and unloading drivers: images, DRIVER_OBJECTs, DriverEntry, DriverUnload, leaks.

What a DRIVER_OBJECT holds and which routine gets what: WDK pages "DRIVER_OBJECT structure
(wdm.h)", "DRIVER_INITIALIZE callback function", "DRIVER_UNLOAD callback function".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kernellab import ntdata
from kernellab.errors import LoadError

from ..machine import pe
from ..machine.memory import PAGE
from ..machine.unwind import ModuleImage
from .execution import Call, Steps
from .ob import Object
from .structs import Struct, const, size_of, write_unicode_string
from .system import forget_driver
from .unload import check_timers, remember

if TYPE_CHECKING:
    from .kernel import Kernel
    from .thread import Thread

#: Modules whose exports are the kernel's.
KERNEL_MODULES: Final = ("ntoskrnl.exe", "hal.dll", "ntoskrnl", "hal")

#: Variables of the kernel that say where user addresses end.
_LIMITS: Final = ("MmUserProbeAddress", "MmHighestUserAddress", "MmSystemRangeStart")

_TAG: Final = int.from_bytes(b"Driv", "little")
_COOKIE_DEFAULT: Final = 0x0000_2B99_2DDF_A232
#: What the loader puts in place of it: 48 bits, as Windows does; fixed, so that runs repeat.
_COOKIE: Final = 0x0000_6B65_726E_6C62
_IMAGE_GAP: Final = 0x10_0000
_LONGEST_NAME: Final = 200
#: How often one driver's reinitialization routines are called at most.
_REINITIALIZATIONS: Final = 1000


class NtFailure(Exception):
    """A request that the kernel answers with a failure NTSTATUS."""

    def __init__(self, status: int | str, message: str) -> None:
        super().__init__(message)
        self.status = ntdata.status_code(status) if isinstance(status, str) else status


@dataclass(slots=True)
class LoadedDriver:
    """A driver image in memory and its DRIVER_OBJECT."""

    name: str
    base: int
    size: int
    entry: int
    module: ModuleImage
    object: int = 0
    registry_path: int = 0
    #: Its entry in PsLoadedModuleList.
    section: int = 0
    #: Kernel allocations that go with it: DRIVER_OBJECT, names.
    blocks: list[int] = field(default_factory=list)
    #: Its unload was asked for while its devices are open; the thread that unloads it then.
    unload_pending: bool = False
    unloading: Thread | None = None
    #: Whether it has one of the kernel's limits of user addresses, to compare with.
    knows_limit: bool = False


def load(k: Kernel, name: str, data: bytes) -> LoadedDriver:
    """Map an image and bind its imports. Raises LoadError; nothing stays behind then."""
    if not valid_name(name):
        raise NtFailure("STATUS_OBJECT_NAME_INVALID", f"{name!r} cannot be a driver's name")
    if name in k.drivers:
        pending = ", and its unload is pending" if k.drivers[name].unload_pending else ""
        raise NtFailure("STATUS_IMAGE_ALREADY_LOADED", f"{name} is loaded already{pending}")
    image = pe.parse(data)
    k.clock.look_at(data)
    imports = _imports(k, image)
    base = k.next_driver_base
    mapped = bytearray(image.rebased(base))
    for rva, address in imports:
        struct.pack_into("<Q", mapped, rva, address)
    cookie = image.security_cookie
    if cookie and struct.unpack_from("<Q", mapped, cookie)[0] == _COOKIE_DEFAULT:
        struct.pack_into("<Q", mapped, cookie, _COOKIE)
    pages = -(-len(mapped) // PAGE)
    if (pages + 4096) * PAGE > k.memory.available:
        raise LoadError("the image needs more memory than the simulated machine has")
    k.next_driver_base += -(-len(mapped) // _IMAGE_GAP) * _IMAGE_GAP + _IMAGE_GAP
    k.memory.map(base, pages, write=False)
    k.memory.write_image(base, bytes(mapped))
    for section in image.sections:
        first = base + section.rva
        count = -(-max(section.virtual_size, 1) // PAGE)
        k.memory.protect(first, count, write=section.writable, execute=section.executable)
        k.paging.add(first, count, section.name, name)
        if section.executable:
            k.cpu.special.watch(first, bytes(mapped[section.rva :][: section.virtual_size]))
    module = ModuleImage.from_pe(name, base, image)
    k.modules.append(module)
    if k.pool.use is not None:
        k.pool.use.forget(name)
    driver = LoadedDriver(name, base, pages * PAGE, base + image.entry_point, module)
    names = {symbol.name for group in image.imports for symbol in group.symbols}
    driver.knows_limit = not names.isdisjoint(_LIMITS)
    k.drivers[name] = driver
    k.tell("driver-loaded", driver)
    return driver


def valid_name(name: str) -> bool:
    """Whether a service can be called this: 1 to 200 printable characters, no backslash."""
    return (
        0 < len(name) <= _LONGEST_NAME
        and name.isprintable()
        and "\\" not in name
        and name.lower() not in KERNEL_MODULES
    )


def _imports(k: Kernel, image: pe.PeImage) -> list[tuple[int, int]]:
    """Where each import's address goes; LoadError naming all that are missing."""
    found: list[tuple[int, int]] = []
    missing: list[str] = []
    for group in image.imports:
        for symbol in group.symbols:
            known = group.dll.lower() in KERNEL_MODULES
            address = k.export_address(symbol.name) if known and symbol.name else 0
            if address:
                found.append((symbol.iat_rva, address))
            else:
                missing.append(f"{group.dll}!{symbol}")
    if missing:
        error = LoadError(
            "the driver imports what this target does not have: " + ", ".join(missing),
            missing=missing,
        )
        raise error
    return found


def IopLoadDriver(k: Kernel, driver: LoadedDriver) -> Steps:  # noqa: N802 - NT's name
    """Make the DRIVER_OBJECT, call DriverEntry; the value is its NTSTATUS."""
    _make_object(k, driver)
    path = f"\\SystemRoot\\System32\\drivers\\{driver.name}.sys"
    yield from k.image_loaded(path, 0, driver.base, driver.size)
    status = yield from at_same_irql(
        k, Call(driver.entry, (driver.object, driver.registry_path)), "DriverEntry"
    )
    status &= 0xFFFFFFFF
    if not ntdata.nt_success(status):
        return status
    for device in k.objects.devices.values():
        if device.owner == driver.name:
            entry = Struct(k.memory, "DEVICE_OBJECT", device.address)
            entry["Flags"] &= ~const("DO_DEVICE_INITIALIZING")
    yield from _reinitialize(k, driver)
    return status


def _reinitialize(k: Kernel, driver: LoadedDriver) -> Steps:
    """Call the reinitialization routines; one that registers itself again is called again."""
    extension = Struct(k.memory, "DRIVER_OBJECT", driver.object)["DriverExtension"]
    entry = Struct(k.memory, "DRIVER_EXTENSION", extension)
    for _ in range(_REINITIALIZATIONS):
        found = [r for r in k.system.reinitializations if r.driver_object == driver.object]
        if not found:
            return
        k.system.reinitializations.remove(found[0])
        entry["Count"] += 1
        call = Call(found[0].routine, (driver.object, found[0].context, entry["Count"]))
        yield from at_same_irql(k, call, "a reinitialization routine")


def at_same_irql(k: Kernel, call: Call, what: str) -> Steps:
    """Call a driver's routine; the machine goes on at the IRQL that it was called at.

    ``what`` says which routine it is, for whoever listens.
    """
    irql = k.cpu.irql
    k.tell("callback-entered", what, call.address, irql)
    result = yield call
    returned(k, what, call.address, irql)
    return result


def returned(k: Kernel, what: str, routine: int, irql: int) -> None:
    """A driver's routine, entered at ``irql``, has returned; the machine goes on at that IRQL."""
    k.tell("callback-returned", what, routine, irql)
    k.cpu.irql = irql


def _make_object(k: Kernel, driver: LoadedDriver) -> None:
    size = size_of("DRIVER_OBJECT")
    driver.object = _block(k, driver, size + size_of("DRIVER_EXTENSION"))
    extension = driver.object + size
    entry = Struct(k.memory, "DRIVER_OBJECT", driver.object)
    entry["Type"] = const("IO_TYPE_DRIVER")
    entry["Size"] = size
    entry["DriverStart"] = driver.base
    entry["DriverSize"] = driver.size
    entry["DriverInit"] = driver.entry
    path = f"\\SystemRoot\\System32\\drivers\\{driver.name}.sys"
    name = f"{driver.name}.sys"
    driver.section = k.module_list.add(name, path, driver.base, driver.size, driver.entry)
    entry["DriverSection"] = driver.section
    entry["DriverExtension"] = extension
    _name(k, driver, entry.at("DriverName"), f"\\Driver\\{driver.name}")
    hardware = "\\REGISTRY\\MACHINE\\HARDWARE\\DESCRIPTION\\SYSTEM"
    described = _block(k, driver, size_of("UNICODE_STRING"))
    _name(k, driver, described, hardware)
    entry["HardwareDatabase"] = described
    Struct(k.memory, "DRIVER_EXTENSION", extension)["DriverObject"] = driver.object
    service = Struct(k.memory, "DRIVER_EXTENSION", extension).at("ServiceKeyName")
    _name(k, driver, service, driver.name)
    invalid = k.stub_of("IopInvalidDeviceRequest")
    table = entry.at("MajorFunction")
    count = const("IRP_MJ_MAXIMUM_FUNCTION") + 1
    k.memory.write(table, struct.pack(f"<{count}Q", *[invalid] * count))
    driver.registry_path = _block(k, driver, size_of("UNICODE_STRING"))
    key = k.cm.add_service(driver.name, f"\\??\\C:\\Windows\\System32\\drivers\\{driver.name}.sys")
    _name(k, driver, driver.registry_path, key.path)
    obj = k.ob.insert(Object(driver.object, "Driver", driver, "", driver.name))
    k.names.add(obj, f"\\Driver\\{driver.name}", permanent=True)


def _block(k: Kernel, driver: LoadedDriver, size: int) -> int:
    address = k.pool.allocate(size, _TAG)
    if not address:
        raise NtFailure("STATUS_INSUFFICIENT_RESOURCES", "no memory for the driver object")
    driver.blocks.append(address)
    return address


def _name(k: Kernel, driver: LoadedDriver, at: int, text: str) -> None:
    """A UNICODE_STRING with a buffer that does not end in NUL, as Windows passes them."""
    buffer = _block(k, driver, 2 * len(text))
    write_unicode_string(k.memory, at, buffer, text)


def IopUnloadDriver(k: Kernel, driver: LoadedDriver) -> Steps:  # noqa: N802 - NT's name
    """Call DriverUnload of a driver that :mod:`.unload_pending` says can go.

    Raises NtFailure where a Plug and Play device of it cannot be removed.
    """
    routine = Struct(k.memory, "DRIVER_OBJECT", driver.object)["DriverUnload"]
    yield from k.pnp.remove_all(driver.name)
    yield from at_same_irql(k, Call(routine, (driver.object,)), "DriverUnload")
    # I/O work items and threads reference a device object, and that the driver, or the driver.
    for drain in (k.workers.drain, k.ps.drain):
        wait = drain(driver.name)
        if wait is not None:
            yield wait
    check_timers(k, driver)
    return 0


def remove(k: Kernel, driver: LoadedDriver) -> None:
    """Take away what the driver left behind, and unmap the image."""
    k.tell("driver-unloaded", driver)
    forget_driver(k, driver.name, driver.object)
    from . import io_device

    for device in k.objects.of(driver.name):
        if not device.deleted:
            k.objects.remove_device(device)
        # Another driver may have kept a reference: it goes with this one all the same.
        if k.ob.objects.pop(device.address, None) is not None:
            io_device.free(k, device.address)
    for link in [link for link in k.objects.links.values() if link.owner == driver.name]:
        k.objects.remove_link(link.name)
    for allocation in k.pool.owned_by(driver.name):
        k.pool.free(allocation)
    k.names.remove(k.ob.objects.pop(driver.object))
    for block in driver.blocks:
        k.pool.free(k.pool.live[block])
    k.cpu.special.unwatch(driver.base, driver.size)
    k.paging.remove(driver.name)
    k.memory.unmap(driver.base, driver.size // PAGE)
    k.forget_module(driver.module)
    remember(k, driver)
    if driver.section:
        k.module_list.remove(driver.section)
    del k.drivers[driver.name]
