"""SDDL strings of devices, and what they allow. WDK: "SDDL for Device Objects"."""

from __future__ import annotations

import pytest

from kernellab.target.sim.kernel.io_security import FILE_ALL_ACCESS, check, parse_sddl
from kernellab.target.sim.kernel.objects import Device

READ, WRITE, MAXIMUM = 0x8000_0000, 0x4000_0000, 0x0200_0000


def device(sddl: str) -> Device:
    return Device(0x1000, r"\Device\X", "x", 0, acl=parse_sddl(sddl))


@pytest.mark.parametrize(
    ("sddl", "wanted", "admin", "user"),
    [
        ("D:P(A;;GA;;;SY)(A;;GA;;;BA)", READ, True, False),
        ("D:P(A;;GA;;;SY)(A;;GRGW;;;BA)(A;;GR;;;WD)", READ, True, True),
        ("D:P(A;;GA;;;SY)(A;;GRGW;;;BA)(A;;GR;;;WD)", READ | WRITE, True, False),
        ("D:P(D;;GW;;;WD)(A;;GA;;;WD)", WRITE, False, False),
        ("D:P(A;;0x3;;;WD)", 3, True, True),
        ("D:P", READ, False, False),
        ("D:P", 0, True, True),
    ],
)
def test_who_may_open(sddl: str, wanted: int, admin: bool, user: bool) -> None:
    found = device(sddl)
    assert (check(found, wanted, admin=True) is not None) == admin
    assert (check(found, wanted, admin=False) is not None) == user
    assert check(found, wanted, admin=False, kernel=True) is not None


def test_maximum_allowed() -> None:
    """WDK: "ACCESS_MASK": MAXIMUM_ALLOWED gets whatever the list grants."""
    found = device("D:P(A;;GA;;;BA)(A;;GR;;;WD)")
    assert check(found, MAXIMUM, admin=True) == FILE_ALL_ACCESS
    assert check(found, MAXIMUM, admin=False) == 0x120089


@pytest.mark.parametrize(
    "sddl",
    [
        "",
        "D:P(A;;GA;;;XX)",
        "D:P(A;;ZZ;;;WD)",
        "D:P(A;;GA;;WD)",
        "O:BAD:P",
        "D:P(X;;GA;;;WD)",
        "(A",
    ],
)
def test_what_is_no_sddl_for_devices(sddl: str) -> None:
    with pytest.raises(ValueError):
        parse_sddl(sddl)
