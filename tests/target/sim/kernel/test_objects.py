r"""The object namespace: names, symbolic links, handles."""

from __future__ import annotations

import pytest

from kernellab.target.sim.kernel.objects import Device, Link, Namespace, canonical, nt_path


def device(name: str, address: int = 0x1000) -> Device:
    return Device(address, name, "driver", 0x10)


@pytest.fixture
def names() -> Namespace:
    return Namespace()


def found(names: Namespace, path: str) -> tuple[str, str] | None:
    result = names.find_device(path)
    return None if result is None else (result[0].name, result[1])


def test_device_by_name_in_any_case(names: Namespace) -> None:
    assert names.add_device(device(r"\Device\Echo"))
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
    names.add_device(device(r"\Device\Echo\Inner", 0x2000))
    assert found(names, r"\Device\Echo\INNER\x") == (r"\Device\Echo\Inner", r"\x")
    assert found(names, r"\Device\Echo\Inner2") == (r"\Device\Echo", r"\Inner2")


def test_dos_device_directories_are_one(names: Namespace) -> None:
    r"""WDK: "MS-DOS Device Names": \DosDevices is \??, and \GLOBAL?? is behind it."""
    names.add_device(device(r"\Device\Echo"))
    assert names.add_link(Link(r"\DosDevices\Echo", r"\Device\Echo", "driver"))
    for path in (r"\??\Echo", r"\GLOBAL??\echo", r"\dosdevices\ECHO", nt_path(r"\\.\Echo")):
        assert found(names, path + r"\Rest") == (r"\Device\Echo", r"\Rest")
    assert not names.add_link(Link(r"\??\ECHO", r"\Device\Other", "driver"))
    assert names.remove_link(r"\GLOBAL??\Echo")
    assert not names.remove_link(r"\DosDevices\Echo")
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
    assert names.add_device(device(r"\Device\Echo"))
    assert not names.add_device(device(r"\DEVICE\echo", 0x2000))
    assert not names.add_link(Link(r"\Device\ECHO", r"\Device\Other", "driver"))
    assert names.add_link(Link(r"\??\Name", r"\Device\Echo", "driver"))
    assert not names.add_device(device(r"\??\NAME", 0x3000))
    assert [d.address for d in names.devices.values()] == [0x1000]


def test_devices_without_a_name(names: Namespace) -> None:
    assert names.add_device(device(""))
    assert names.add_device(device("", 0x2000))
    assert found(names, "") is None
    names.remove_device(names.devices[0x1000])
    assert list(names.devices) == [0x2000]


def test_name_is_free_after_removal(names: Namespace) -> None:
    names.add_device(device(r"\Device\Echo"))
    names.remove_device(names.devices[0x1000])
    assert found(names, r"\Device\Echo") is None
    assert names.deleted == {}
    assert names.add_device(device(r"\Device\ECHO", 0x2000))


def test_handles(names: Namespace) -> None:
    names.add_device(device(r"\Device\Echo"))
    echo = names.devices[0x1000]
    handles = [names.open(echo, 0x100 * n, "path") for n in range(1, 4)]
    assert [handle.number for handle in handles] == [4, 8, 12]
    assert echo.handles == 3
    assert names.close(handles[1]) is None
    assert sorted(names.handles) == [4, 12]
    assert names.open(echo, 0x900, "path").number == 16  # never used twice
    assert echo.handles == 3


def test_device_that_is_removed_while_handles_are_open(names: Namespace) -> None:
    """WDK: "IoDeleteDevice function (wdm.h)": its name goes now, it goes with the last handle."""
    names.add_device(device(r"\Device\Echo"))
    echo = names.devices[0x1000]
    first, second = names.open(echo, 0x100, "a"), names.open(echo, 0x200, "b")
    names.remove_device(echo)
    assert found(names, r"\Device\Echo") is None
    assert names.deleted == {0x1000: echo}
    assert names.close(first) is None
    assert names.close(second) is echo
    assert names.deleted == {}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (r"\??\a", r"\??\A"),
        (r"\DosDevices\a", r"\??\A"),
        (r"\Global??\a", r"\??\A"),
        (r"\DosDevicesX\a", r"\DOSDEVICESX\A"),
        (r"\Device\DosDevices\a", r"\DEVICE\DOSDEVICES\A"),
        ("\\\U0001f600\ud800", "\\\U0001f600\ud800"),
    ],
)
def test_keys(path: str, key: str) -> None:
    assert canonical(path) == key


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
