r"""The object namespace: names, symbolic links, handles."""

from __future__ import annotations

import pytest

from kernellab import ntdata
from kernellab.target.sim import exports
from kernellab.target.sim.kernel.kernel import Kernel
from kernellab.target.sim.kernel.names import Link
from kernellab.target.sim.kernel.objects import Device, Namespace, nt_path

OK = 0
COLLISION = ntdata.status_code("STATUS_OBJECT_NAME_COLLISION")


def device(name: str, address: int = 0x1000) -> Device:
    return Device(address, name, "driver", 0x10)


@pytest.fixture
def names() -> Namespace:
    return Kernel(exports.table(), lambda kind, fields: None).objects


def found(names: Namespace, path: str) -> tuple[str, str] | None:
    result = names.find_device(path)
    return None if result is None else (result[0].name, result[1])


def test_device_by_name_in_any_case(names: Namespace) -> None:
    assert names.add_device(device(r"\Device\Echo")) == OK
    for path in (r"\Device\Echo", r"\DEVICE\ECHO", r"\device\echo"):
        assert found(names, path) == (r"\Device\Echo", "")
    for path in (r"\Device\Ech", r"\Device\Echoes", r"\Device", "", "\\", r"Device\Echo"):
        assert found(names, path) is None


def test_letters_beyond_ascii_have_cases_too(names: Namespace) -> None:
    """WDK: "Object Names"; letters are upcased one by one, as RtlUpcaseUnicodeChar does."""
    names.add_device(device("\\Device\\Gr\u00fc\u00df\u0113"))
    assert found(names, "\\device\\GR\u00dc\u00df\u0112") is not None
    assert found(names, "\\device\\GR\u00dcSS\u0112") is None


def test_rest_of_the_path_keeps_its_case(names: Namespace) -> None:
    names.add_device(device(r"\Device\Echo"))
    assert found(names, r"\device\ECHO\Some\File") == (r"\Device\Echo", r"\Some\File")
    assert found(names, r"\Device\Echo\\x") == (r"\Device\Echo", r"\\x")


def test_what_has_no_directory_cannot_have_a_name(names: Namespace) -> None:
    """WDK: "Object Directories"; "IoCreateDevice function (wdm.h)"."""
    assert names.add_device(device(r"\Device\Echo")) == OK
    for path, status in (
        (r"\Device\Echo\Inner", "STATUS_OBJECT_TYPE_MISMATCH"),
        (r"\Nowhere\Echo", "STATUS_OBJECT_PATH_NOT_FOUND"),
        (r"Device\Other", "STATUS_OBJECT_PATH_SYNTAX_BAD"),
        (r"\Device\\Other", "STATUS_OBJECT_NAME_INVALID"),
    ):
        assert names.add_device(device(path, 0x2000)) == ntdata.status_code(status)


def test_dos_device_directories_are_one(names: Namespace) -> None:
    r"""WDK: "MS-DOS Device Names": \DosDevices is \??, and \GLOBAL?? is behind it."""
    names.add_device(device(r"\Device\Echo"))
    assert names.add_link(Link(r"\DosDevices\Echo", r"\Device\Echo", "driver")) == OK
    for path in (r"\??\Echo", r"\GLOBAL??\echo", r"\dosdevices\ECHO", nt_path(r"\\.\Echo")):
        assert found(names, path + r"\Rest") == (r"\Device\Echo", r"\Rest")
    assert names.add_link(Link(r"\??\ECHO", r"\Device\Other", "driver")) == COLLISION
    assert names.remove_link(r"\GLOBAL??\Echo") == OK
    missing = ntdata.status_code("STATUS_OBJECT_NAME_NOT_FOUND")
    assert names.remove_link(r"\DosDevices\Echo") == missing
    assert found(names, r"\??\Echo") is None


def test_links_lead_through_links(names: Namespace) -> None:
    names.add_device(device(r"\Device\Echo"))
    for number in range(20):
        names.add_link(Link(rf"\??\L{number}", rf"\??\L{number + 1}", "driver"))
    assert found(names, r"\??\L0\a") is None
    names.add_link(Link(r"\??\L20", r"\Device\Echo\b", "driver"))
    assert found(names, r"\??\L0\a") == (r"\Device\Echo", r"\b\a")


@pytest.mark.parametrize("target", [r"\??\Loop", r"\??\Loop\deeper", ""])
def test_links_that_lead_nowhere_end(names: Namespace, target: str) -> None:
    names.add_link(Link(r"\??\Loop", target, "driver"))
    assert found(names, r"\??\Loop") is None
    assert found(names, r"\??\Loop\rest") is None


def test_taken_names(names: Namespace) -> None:
    assert names.add_device(device(r"\Device\Echo")) == OK
    assert names.add_device(device(r"\DEVICE\echo", 0x2000)) == COLLISION
    assert names.add_link(Link(r"\Device\ECHO", r"\Device\Other", "driver")) == COLLISION
    assert names.add_link(Link(r"\??\Name", r"\Device\Echo", "driver")) == OK
    assert names.add_device(device(r"\??\NAME", 0x3000)) == COLLISION
    assert [d.address for d in names.devices.values()] == [0x1000]


def test_devices_without_a_name(names: Namespace) -> None:
    assert names.add_device(device("")) == OK
    assert names.add_device(device("", 0x2000)) == OK
    assert found(names, "") is None
    names.remove_device(names.devices[0x1000])
    assert list(names.devices) == [0x2000]


def test_name_is_free_after_removal(names: Namespace) -> None:
    names.add_device(device(r"\Device\Echo"))
    names.remove_device(names.devices[0x1000])
    assert found(names, r"\Device\Echo") is None
    assert names.add_device(device(r"\Device\ECHO", 0x2000)) == OK


def test_device_that_is_removed_while_something_refers_to_it(names: Namespace) -> None:
    """WDK: "IoDeleteDevice function (wdm.h)": its name goes, then the rest."""
    names.add_device(device(r"\Device\Echo"))
    echo = names.devices[0x1000]
    names._k.ob.reference(0x1000)
    names.remove_device(echo)
    assert found(names, r"\Device\Echo") is None
    assert echo.deleted
    assert names.of(echo.owner) == [echo]


@pytest.mark.parametrize(
    ("win32", "nt"),
    [
        (r"\\.\Echo", r"\??\Echo"),
        (r"\\?\Echo\x", r"\??\Echo\x"),
        (r"\Device\Echo", r"\Device\Echo"),
        (r"\\Echo", r"\\Echo"),
        ("", ""),
    ],
)
def test_win32_names(win32: str, nt: str) -> None:
    """WDK: "MS-DOS Device Names"; Win32: "Naming Files, Paths, and Namespaces"."""
    assert nt_path(win32) == nt
