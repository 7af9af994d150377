"""Security descriptors put on objects."""

from __future__ import annotations

import struct
from typing import Any

from kernellab.ntdata import status_code
from kernellab.target.sim.kernel.io_security import check
from kernellab.target.sim.kernel.objects import Device

_DACL = 4
_EVERYBODY = bytes([1, 1, 0, 0, 0, 0, 0, 1]) + struct.pack("<I", 0)
_ADMINISTRATORS = bytes([1, 2, 0, 0, 0, 0, 0, 5]) + struct.pack("<2I", 32, 544)


def _descriptor(*entries: tuple[int, int, bytes], present: bool = True) -> bytes:
    """A self-relative one: kind, rights and SID of each entry of its list."""
    body = b"".join(struct.pack("<BxHI", k, 8 + len(s), r) + s for k, r, s in entries)
    acl = struct.pack("<BxHHxx", 2, 8 + len(body), len(entries)) + body
    control = 0x8000 | (_DACL if present else 0)
    return struct.pack("<BxH4I", 1, control, 0, 0, 0, 20 if present else 0) + acl


def test_a_device_gets_a_list(guest: Any) -> None:
    """WDK: "ZwSetSecurityObject function (ntifs.h)"."""
    k = guest.k
    device = Device(k.new_object(0x150), "", "driver", 0)
    assert k.objects.add_device(device) == 0
    handle = k.ob.open(k.ob.get(device.address), 4, kernel=True)

    def put(descriptor: bytes, information: int = _DACL, on: int = handle) -> int:
        answer: int = guest.call("ZwSetSecurityObject", on, information, guest.put(descriptor))
        return answer

    read = 0x8000_0000
    assert check(device, read, admin=False) is not None
    assert put(_descriptor((0, 0x1000_0000, _ADMINISTRATORS))) == 0
    assert check(device, read, admin=False) is None
    assert check(device, read, admin=True) is not None
    denied = (1, read, _EVERYBODY), (0, 0x1000_0000, _EVERYBODY)
    assert put(_descriptor(*denied), _DACL | 0x8000_0000) == 0
    assert check(device, read, admin=True) is None
    assert put(_descriptor()) == 0
    assert check(device, read, admin=True) is None  # an empty list allows nothing
    assert put(_descriptor(present=False)) == 0
    assert check(device, read, admin=False) is not None  # no list allows all
    broken = bytearray(_descriptor((0, read, _EVERYBODY)))
    broken[20] = 9
    assert put(bytes(broken)) == status_code("STATUS_INVALID_SECURITY_DESCR")
    assert put(_descriptor((2, read, _EVERYBODY))) == status_code("STATUS_INVALID_ACL")
    assert put(_descriptor(), 1) == status_code("STATUS_NOT_SUPPORTED")
    assert put(_descriptor(), on=handle + 4) == status_code("STATUS_INVALID_HANDLE")
    assert guest.call("ZwSetSecurityObject", handle, _DACL, 0) == status_code(
        "STATUS_ACCESS_VIOLATION"
    )
