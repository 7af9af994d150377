"""Network addresses as text and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import address_text, crt
from .registry import PASSIVE_LEVEL, export
from .rtl_string import INVALID_PARAMETER, SUCCESS

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: Longer text is no address.
_LONGEST: Final = 64


def _parse(k: Kernel, text: int, end: int, result: int, *, wide: bool, strict: int | None) -> int:
    """Read an address, IPv6 where ``strict`` is None; store it and where its text ended."""
    raw = crt.read(k.memory, text, _LONGEST, wide=wide)
    given = raw.decode("utf-16-le" if wide else "latin-1", "replace")
    if strict is None:
        value, length = address_text.ipv6(given)
    else:
        value, length = address_text.ipv4(given, strict=bool(strict))
    if end:
        k.memory.set_u64(end, text + length * (2 if wide else 1))
    if value is None:
        return INVALID_PARAMETER
    k.memory.write(result, value)
    return SUCCESS


def _show(k: Kernel, text: str, target: int, *, wide: bool) -> int:
    """Store text with its terminator; the address of that."""
    raw = text.encode("utf-16-le" if wide else "ascii")
    k.memory.write(target, raw + bytes(2 if wide else 1))
    return target + len(raw)


@export(
    "NTSTATUS RtlIpv4StringToAddressW(PCWSTR S, BOOLEAN Strict, PCWSTR *Terminator, PVOID Addr)",
    irql=PASSIVE_LEVEL,
)
def RtlIpv4StringToAddressW(k: Kernel, S: int, Strict: int, Terminator: int, Addr: int) -> int:
    """WDK: "RtlIpv4StringToAddressW function (ip2string.h)"."""
    return _parse(k, S, Terminator, Addr, wide=True, strict=Strict)


@export(
    "NTSTATUS RtlIpv4StringToAddressA(PCSTR S, BOOLEAN Strict, PCSTR *Terminator, PVOID Addr)",
    irql=PASSIVE_LEVEL,
)
def RtlIpv4StringToAddressA(k: Kernel, S: int, Strict: int, Terminator: int, Addr: int) -> int:
    """WDK: "RtlIpv4StringToAddressA function (ip2string.h)"."""
    return _parse(k, S, Terminator, Addr, wide=False, strict=Strict)


@export(
    "NTSTATUS RtlIpv6StringToAddressW(PCWSTR S, PCWSTR *Terminator, PVOID Addr)",
    irql=PASSIVE_LEVEL,
)
def RtlIpv6StringToAddressW(k: Kernel, S: int, Terminator: int, Addr: int) -> int:
    """WDK: "RtlIpv6StringToAddressW function (ip2string.h)"."""
    return _parse(k, S, Terminator, Addr, wide=True, strict=None)


@export(
    "NTSTATUS RtlIpv6StringToAddressA(PCSTR S, PCSTR *Terminator, PVOID Addr)",
    irql=PASSIVE_LEVEL,
)
def RtlIpv6StringToAddressA(k: Kernel, S: int, Terminator: int, Addr: int) -> int:
    """WDK: "RtlIpv6StringToAddressA function (ip2string.h)"."""
    return _parse(k, S, Terminator, Addr, wide=False, strict=None)


@export("PWSTR RtlIpv4AddressToStringW(PVOID Addr, PWSTR S)", irql=PASSIVE_LEVEL)
def RtlIpv4AddressToStringW(k: Kernel, Addr: int, S: int) -> int:
    """WDK: "RtlIpv4AddressToStringW function (ip2string.h)". The end of the text."""
    return _show(k, ".".join(map(str, k.memory.read(Addr, 4))), S, wide=True)


@export("PSTR RtlIpv4AddressToStringA(PVOID Addr, PSTR S)", irql=PASSIVE_LEVEL)
def RtlIpv4AddressToStringA(k: Kernel, Addr: int, S: int) -> int:
    """WDK: "RtlIpv4AddressToStringA function (ip2string.h)"."""
    return _show(k, ".".join(map(str, k.memory.read(Addr, 4))), S, wide=False)


@export("PWSTR RtlIpv6AddressToStringW(PVOID Addr, PWSTR S)", irql=PASSIVE_LEVEL)
def RtlIpv6AddressToStringW(k: Kernel, Addr: int, S: int) -> int:
    """WDK: "RtlIpv6AddressToStringW function (ip2string.h)"."""
    return _show(k, address_text.ipv6_text(k.memory.read(Addr, 16)), S, wide=True)


@export("PSTR RtlIpv6AddressToStringA(PVOID Addr, PSTR S)", irql=PASSIVE_LEVEL)
def RtlIpv6AddressToStringA(k: Kernel, Addr: int, S: int) -> int:
    """WDK: "RtlIpv6AddressToStringA function (ip2string.h)"."""
    return _show(k, address_text.ipv6_text(k.memory.read(Addr, 16)), S, wide=False)
