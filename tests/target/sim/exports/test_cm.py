"""The registry: keys, values, information classes, callbacks."""

from __future__ import annotations

import struct
from collections.abc import Generator

import pytest

from kernellab import ntdata
from kernellab.target.sim.kernel.execution import Call
from kernellab.target.sim.kernel.ob import Object

from .conftest import DRIVER, Guest

ROOT = r"\REGISTRY\MACHINE\SOFTWARE"
ALL = 0xF003F
REG_SZ, REG_BINARY, REG_DWORD = 1, 3, 4
VOLATILE = 1


def status(name: str) -> int:
    return ntdata.status_code(name)


def open_key(guest: Guest, path: str, root: int = 0) -> tuple[int, int]:
    out = guest.room(8)
    result = guest.call("ZwOpenKey", out, ALL, guest.attributes(path, root=root))
    return result, guest.u64(out)


def create_key(
    guest: Guest, path: str, options: int = 0, root: int = 0, key_class: str = ""
) -> tuple[int, int, int]:
    """The NTSTATUS, the handle, the disposition."""
    out, disposition = guest.room(8), guest.room(4)
    cls = guest.unicode(key_class) if key_class else 0
    attributes = guest.attributes(path, root=root)
    result = guest.call("ZwCreateKey", out, ALL, attributes, 0, cls, options, disposition)
    return result, guest.u64(out), guest.u32(disposition)


def set_value(guest: Guest, key: int, name: str, kind: int, data: bytes) -> int:
    at = guest.put(data) if data else 0
    return guest.call("ZwSetValueKey", key, guest.unicode(name), 0, kind, at, len(data))


def query(
    guest: Guest, routine: str, key: int, *before: int, length: int = 256
) -> tuple[int, bytes, int]:
    """The NTSTATUS, what was written, the size that is needed."""
    buffer, needed = guest.put(b"\xee" * max(length, 1)), guest.room(4)
    result = guest.call(routine, key, *before, buffer, length, needed)
    return result, guest.read(buffer, length) if length else b"", guest.u32(needed)


@pytest.fixture
def key(guest: Guest) -> int:
    result, handle, disposition = create_key(guest, ROOT + r"\Lab")
    assert (result, disposition) == (0, 1)
    return handle


def test_keys_are_made_one_at_a_time_and_found_in_any_case(guest: Guest, key: int) -> None:
    """WDK: "ZwCreateKey function (wdm.h)", "ZwOpenKey function (wdm.h)"."""
    assert create_key(guest, ROOT.upper() + r"\LAB")[::2] == (0, 2)
    missing = status("STATUS_OBJECT_NAME_NOT_FOUND")
    assert create_key(guest, ROOT + r"\None\Inner")[0] == missing
    assert open_key(guest, ROOT + r"\None")[0] == missing
    assert create_key(guest, "Sub", root=key)[::2] == (0, 1)
    assert open_key(guest, ROOT + r"\lab\SUB")[0] == 0
    assert open_key(guest, r"\Device")[0] == status("STATUS_OBJECT_TYPE_MISMATCH")
    assert create_key(guest, r"\REGISTRY\New")[0] == status("STATUS_ACCESS_DENIED")


def test_the_current_control_set_is_a_link(guest: Guest) -> None:
    r"""WDK: "HKLM\SYSTEM\CurrentControlSet\Control Registry Tree"."""
    result, handle = open_key(guest, r"\Registry\Machine\System\CurrentControlSet\Services")
    assert result == 0
    out = guest.room(8)
    guest.call("ObReferenceObjectByHandle", handle, 0, 0, 0, out, 0)
    buffer, length = guest.room(256), guest.room(4)
    guest.call("ObQueryNameString", guest.u64(out), buffer, 256, length)
    assert guest.content(buffer).decode("utf-16-le") == (
        r"\REGISTRY\MACHINE\SYSTEM\ControlSet001\Services"
    )


def test_volatile_keys_have_volatile_subkeys(guest: Guest) -> None:
    """WDK: "ZwCreateKey function (wdm.h)": REG_OPTION_VOLATILE."""
    _, volatile, _ = create_key(guest, ROOT + r"\Short", VOLATILE)
    assert create_key(guest, "a", root=volatile)[0] == status("STATUS_CHILD_MUST_BE_VOLATILE")
    assert create_key(guest, "a", VOLATILE, root=volatile)[0] == 0


def test_short_buffers_when_a_value_is_queried(guest: Guest, key: int) -> None:
    """WDK: "ZwQueryValueKey function (wdm.h)": TOO_SMALL, OVERFLOW, ResultLength."""
    assert set_value(guest, key, "Depth", REG_DWORD, struct.pack("<I", 7)) == 0
    name = guest.unicode("DEPTH")
    partial = struct.pack("<IIII", 0, REG_DWORD, 4, 7)
    for length, answer, written in (
        (16, "STATUS_SUCCESS", partial),
        (20, "STATUS_SUCCESS", partial + b"\xee" * 4),
        (14, "STATUS_BUFFER_OVERFLOW", partial[:14]),
        (12, "STATUS_BUFFER_OVERFLOW", partial[:12]),
        (11, "STATUS_BUFFER_TOO_SMALL", b"\xee" * 11),
        (0, "STATUS_BUFFER_TOO_SMALL", b""),
    ):
        result = query(guest, "ZwQueryValueKey", key, name, 2, length=length)
        assert result == (status(answer), written, 16), length


def test_value_information_classes(guest: Guest, key: int) -> None:
    """WDK: "KEY_VALUE_FULL_INFORMATION structure (wdm.h)" and its kin."""
    set_value(guest, key, "Abc", REG_BINARY, b"12345")
    name = guest.unicode("abc")
    text = "Abc".encode("utf-16-le")

    def told(kind: int) -> bytes:
        result, raw, size = query(guest, "ZwQueryValueKey", key, name, kind)
        assert result == 0
        return raw[:size]

    assert told(0) == struct.pack("<III", 0, REG_BINARY, 6) + text
    assert told(1) == struct.pack("<5I", 0, REG_BINARY, 28, 5, 6) + text + b"\0\0" + b"12345"
    assert told(3) == struct.pack("<5I", 0, REG_BINARY, 32, 5, 6) + text + bytes(6) + b"12345"
    assert told(4) == struct.pack("<II", REG_BINARY, 5) + b"12345"
    invalid = status("STATUS_INVALID_PARAMETER")
    assert query(guest, "ZwQueryValueKey", key, name, 9)[0] == invalid


def test_enumeration(guest: Guest, key: int) -> None:
    """WDK: "ZwEnumerateKey function (wdm.h)", "ZwEnumerateValueKey function (wdm.h)"."""
    for name in ("beta", "Alpha"):
        create_key(guest, name, root=key)
        set_value(guest, key, name, REG_SZ, b"")
    names = []
    for index in range(2):
        _, raw, _ = query(guest, "ZwEnumerateKey", key, index, 0)
        names.append(raw[16 : 16 + struct.unpack_from("<I", raw, 12)[0]].decode("utf-16-le"))
    assert names == ["Alpha", "beta"]
    _, raw, _ = query(guest, "ZwEnumerateValueKey", key, 0, 0)
    assert raw[12:20].decode("utf-16-le") == "beta"
    no_more = status("STATUS_NO_MORE_ENTRIES")
    assert query(guest, "ZwEnumerateKey", key, 2, 0)[0] == no_more
    assert query(guest, "ZwEnumerateValueKey", key, 2, 0)[0] == no_more


def test_what_a_key_tells_of_itself(guest: Guest) -> None:
    """WDK: "ZwQueryKey function (wdm.h)", "KEY_FULL_INFORMATION structure (wdm.h)"."""
    _, key, _ = create_key(guest, ROOT + r"\Told", key_class="Cls")
    create_key(guest, "Four", root=key)
    set_value(guest, key, "Sixty", REG_BINARY, b"123")
    _, raw, size = query(guest, "ZwQueryKey", key, 2)
    fields = struct.unpack_from("<Q9I", raw)
    assert fields[1:] == (0, 44, 6, 1, 8, 0, 1, 10, 3)
    assert raw[44:size].decode("utf-16-le") == "Cls"
    assert guest.k.boot_time < fields[0] <= guest.k.boot_time + guest.k.now
    _, raw, size = query(guest, "ZwQueryKey", key, 3)
    assert raw[4:size].decode("utf-16-le") == ROOT + r"\Told"
    _, raw, size = query(guest, "ZwQueryKey", key, 1)
    assert struct.unpack_from("<III", raw, 12) == (32, 6, 8)


def test_deleting(guest: Guest, key: int) -> None:
    """WDK: "ZwDeleteKey function (wdm.h)", "ZwDeleteValueKey function (wdm.h)"."""
    _, inner, _ = create_key(guest, "Inner", root=key)
    set_value(guest, key, "v", REG_SZ, b"")
    assert guest.call("ZwDeleteKey", key) == status("STATUS_CANNOT_DELETE")
    assert guest.call("ZwDeleteValueKey", key, guest.unicode("V")) == 0
    missing = status("STATUS_OBJECT_NAME_NOT_FOUND")
    assert guest.call("ZwDeleteValueKey", key, guest.unicode("V")) == missing
    assert guest.call("ZwDeleteKey", inner) == 0
    assert set_value(guest, inner, "v", REG_SZ, b"") == status("STATUS_KEY_DELETED")
    assert guest.call("ZwClose", inner) == 0
    assert guest.call("ZwRenameKey", key, guest.unicode("Other")) == 0
    assert open_key(guest, ROOT + r"\Other")[0] == 0
    assert guest.call("ZwFlushKey", key) == 0
    assert guest.call("ZwDeleteKey", key) == 0
    assert open_key(guest, ROOT + r"\Other")[0] == missing


# What a callback does: keep Argument1 in a list behind the context's count, then return
# the status in the context: mov eax,[rcx]; mov r9d,[rcx+4]; mov [rcx+r9*4+8],edx;
# inc dword [rcx+4]; ret.
_RECORD = bytes.fromhex("8b01 448b4904 4289548908 ff4104 c3")


def watch(guest: Guest, answer: int = 0, altitude: str = "1000") -> tuple[int, int]:
    """Register a callback that records; its context and its cookie."""
    guest.k.memory.write(DRIVER + 0x80, _RECORD)
    context, cookie = guest.put(struct.pack("<I", answer) + bytes(252)), guest.room(8)
    driver = _driver(guest)
    result = guest.call(
        *("CmRegisterCallbackEx", DRIVER + 0x80, guest.unicode(altitude), driver, context),
        *(cookie, 0),
    )
    assert result == 0
    return context, guest.u64(cookie)


def _driver(guest: Guest) -> int:
    return guest.k.ob.insert(Object(guest.k.new_object(16), "Driver")).address


def told(guest: Guest, context: int) -> list[int]:
    count = guest.u32(context + 4)
    return [guest.u32(context + 8 + 4 * n) for n in range(count)]


def numbers(*names: str) -> list[int]:
    return [ntdata.constant(f"RegNt{name}") for name in names]


def test_callbacks_see_each_operation_before_and_after(guest: Guest, key: int) -> None:
    """WDK: "Registering for Notifications", "REG_NOTIFY_CLASS enumeration (wdm.h)"."""
    context, cookie = watch(guest)
    _, other = open_key(guest, ROOT + r"\Lab")
    set_value(guest, other, "v", REG_SZ, b"")
    query(guest, "ZwQueryValueKey", other, guest.unicode("v"), 2)
    guest.call("ZwDeleteValueKey", other, guest.unicode("v"))
    guest.call("ZwFlushKey", other)
    guest.call("ZwClose", other)
    expected = []
    for operation in (
        *("OpenKeyEx", "SetValueKey", "QueryValueKey", "DeleteValueKey", "FlushKey"),
        "KeyHandleClose",
    ):
        expected += numbers(f"Pre{operation}", f"Post{operation}")
    assert told(guest, context) == expected
    assert guest.call("CmUnRegisterCallback", cookie) == 0
    assert guest.call("CmUnRegisterCallback", cookie) == status("STATUS_INVALID_PARAMETER")
    open_key(guest, ROOT)
    assert told(guest, context) == expected


def test_callbacks_block_and_bypass(guest: Guest, key: int) -> None:
    """WDK: "Handling Notifications": no post-notification follows in either case."""
    denied = status("STATUS_ACCESS_DENIED")
    context, cookie = watch(guest, denied)
    assert set_value(guest, key, "v", REG_SZ, b"x") == denied
    assert told(guest, context) == numbers("PreSetValueKey")
    guest.k.memory.set_u32(context, status("STATUS_CALLBACK_BYPASS"))
    assert set_value(guest, key, "v", REG_SZ, b"x") == 0
    guest.call("CmUnRegisterCallback", cookie)
    assert guest.k.cm.make(ROOT + r"\Lab").values == {}


def test_callbacks_are_called_by_altitude(guest: Guest, key: int) -> None:
    """WDK: "CmRegisterCallbackEx function (wdm.h)": the highest first, post the other way."""
    low, _ = watch(guest, status("STATUS_ACCESS_DENIED"), "20000.5")
    high, _ = watch(guest, 0, "320000")
    set_value(guest, key, "v", REG_SZ, b"")
    assert told(guest, high) == told(guest, low) == numbers("PreSetValueKey")
    cookie = guest.room(8)
    arguments = (DRIVER, guest.unicode("320000"), _driver(guest), 0, cookie, 0)
    collision = status("STATUS_FLT_INSTANCE_ALTITUDE_COLLISION")
    assert guest.call("CmRegisterCallbackEx", *arguments) == collision


def test_key_objects_have_an_identity(guest: Guest, key: int) -> None:
    """WDK: "CmCallbackGetKeyObjectIDEx function (wdm.h)"."""
    _, cookie = watch(guest)
    at, number, name = guest.put(struct.pack("<Q", cookie)), guest.room(8), guest.room(8)
    seen = []
    for handle in (key, open_key(guest, ROOT + r"\lab")[1]):
        out = guest.room(8)
        guest.call("ObReferenceObjectByHandle", handle, 0, 0, 0, out, 0)
        arguments = (at, guest.u64(out), number, name, 0)
        assert guest.call("CmCallbackGetKeyObjectIDEx", *arguments) == 0
        assert guest.content(guest.u64(name)).decode("utf-16-le") == ROOT + r"\Lab"
        guest.call("CmCallbackReleaseKeyObjectIDEx", guest.u64(name))
        seen.append(guest.u64(number))
    assert seen[0] == seen[1] != 0
    major, minor = guest.room(4), guest.room(4)
    guest.call("CmGetCallbackVersion", major, minor)
    assert guest.u32(major) >= 1


def test_the_parameters_key_of_a_driver(guest: Guest) -> None:
    """WDK: "IoOpenDriverRegistryKey function (wdm.h)": a kernel handle."""
    driver = guest.k.ob.objects[_driver(guest)]
    guest.k.names.add(driver, r"\Driver\lab", permanent=True)
    guest.k.cm.add_service("lab", "lab.sys")
    out = guest.room(8)
    assert guest.call("IoOpenDriverRegistryKey", driver.address, 0, ALL, 0, out) == 0
    handle = guest.u64(out)
    assert handle >> 31 == 0x1FFFFFFFF
    assert set_value(guest, handle, "v", REG_DWORD, bytes(4)) == 0
    path = r"\REGISTRY\MACHINE\SYSTEM\ControlSet001\Services\lab\Parameters"
    assert list(guest.k.cm.make(path).values) == ["V"]
    invalid = status("STATUS_INVALID_PARAMETER")
    assert guest.call("IoOpenDriverRegistryKey", driver.address, 9, ALL, 0, out) == invalid


def test_devices_without_a_device_node_have_no_key(guest: Guest) -> None:
    """WDK: "IoOpenDeviceRegistryKey function (wdm.h)": STATUS_INVALID_DEVICE_REQUEST."""
    device = guest.k.ob.insert(Object(guest.k.new_object(16), "Device")).address
    out = guest.room(8)
    answer = status("STATUS_INVALID_DEVICE_REQUEST")
    assert guest.call("IoOpenDeviceRegistryKey", device, 1, ALL, out) == answer
    answer = status("STATUS_INVALID_PARAMETER")
    assert guest.call("IoOpenDeviceRegistryKey", device, 0, ALL, out) == answer


def test_a_link_is_opened_itself(guest: Guest) -> None:
    """WDK: "ZwOpenKeyEx function (wdm.h)": REG_OPTION_OPEN_LINK."""
    path = r"\REGISTRY\MACHINE\SYSTEM\CurrentControlSet"
    out = guest.room(8)
    for options, name in ((0, "ControlSet001"), (8, "CurrentControlSet")):
        assert guest.call("ZwOpenKeyEx", out, ALL, guest.attributes(path), options) == 0
        _, raw, size = query(guest, "ZwQueryKey", guest.u64(out), 0)
        assert raw[16:size].decode("utf-16-le") == name


def test_a_key_object_without_transaction(guest: Guest, key: int) -> None:
    """WDK: "CmCallbackGetKeyObjectID function (wdm.h)", "CmGetBoundTransaction function"."""
    _, cookie = watch(guest)
    at, out, name = guest.put(struct.pack("<Q", cookie)), guest.room(8), guest.room(8)
    guest.call("ObReferenceObjectByHandle", key, 0, 0, 0, out, 0)
    assert guest.call("CmCallbackGetKeyObjectID", at, guest.u64(out), 0, name) == 0
    assert guest.content(guest.u64(name)).decode("utf-16-le") == ROOT + r"\Lab"
    assert guest.call("CmGetBoundTransaction", at, guest.u64(out)) == 0
    wrong = guest.put(struct.pack("<Q", cookie + 1))
    invalid = status("STATUS_INVALID_PARAMETER")
    assert guest.call("CmCallbackGetKeyObjectID", wrong, guest.u64(out), 0, name) == invalid


NAME, LAST_SET = 1, 4
PENDING, CHANGED, CLEANUP = 0x103, 0x10C, 0x10B


class Notify:
    """An asynchronous ZwNotifyChangeKey with an event."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.block = guest.room(16)
        out = guest.room(8)
        assert guest.call("ZwCreateEvent", out, 0x1F0003, 0, 0, 1) == 0
        self.event = guest.u64(out)

    def ask(self, key: int, what: int, *, tree: bool = False, item: int = 0) -> int:
        arguments = (key, self.event, item, 1, self.block, what, int(tree), 0, 0, 1)
        return self.guest.call("ZwNotifyChangeKey", *arguments)

    def told(self) -> tuple[bool, int]:
        """Whether the event is signalled, the status block's status."""
        entry = self.guest.k.ob.find(self.event, 4)
        assert entry is not None
        state = self.guest.call("KeReadStateEvent", entry.object.address)
        return bool(state), self.guest.u32(self.block)


@pytest.fixture
def notify(guest: Guest) -> Notify:
    return Notify(guest)


def test_a_change_of_a_key_sets_the_event(guest: Guest, key: int, notify: Notify) -> None:
    """WDK: "ZwNotifyChangeKey function (ntifs.h)": values of the key itself, by the filter."""
    assert notify.ask(key, LAST_SET) == PENDING
    assert notify.told() == (False, PENDING)
    _, sub, _ = create_key(guest, "Sub", root=key)
    set_value(guest, sub, "Other", REG_DWORD, bytes(4))
    assert notify.told() == (False, PENDING)  # another kind of change; another key
    set_value(guest, key, "Value", REG_DWORD, bytes(4))
    assert notify.told() == (True, CHANGED)
    assert notify.ask(key, LAST_SET) == PENDING
    set_value(guest, key, "Value", REG_DWORD, bytes(4))
    assert notify.told() == (False, PENDING)  # the same value again is no change
    set_value(guest, key, "Value", REG_DWORD, b"\1\0\0\0")
    assert notify.told() == (True, CHANGED)
    assert notify.ask(key, LAST_SET) == PENDING
    guest.call("ZwDeleteValueKey", key, guest.unicode("Value"))
    assert notify.told() == (True, CHANGED)


def test_names_of_subkeys_and_the_tree(guest: Guest, key: int, notify: Notify) -> None:
    """REG_NOTIFY_CHANGE_NAME, WatchTree; what changes between two calls is not lost."""
    _, sub, _ = create_key(guest, "Sub", root=key)
    assert notify.ask(key, NAME, tree=True) == PENDING
    _, inner, _ = create_key(guest, "Inner", root=sub)
    assert notify.told() == (True, CHANGED)
    set_value(guest, inner, "Value", REG_DWORD, bytes(4))  # not what the filter has
    assert notify.ask(key, NAME, tree=True) == PENDING
    assert notify.told() == (False, PENDING)
    guest.call("ZwDeleteKey", inner)
    assert notify.told() == (True, CHANGED)
    create_key(guest, "Again", root=sub)
    assert notify.ask(key, NAME) == PENDING
    assert notify.told() == (True, CHANGED)


def test_the_end_of_a_watch(guest: Guest, key: int, notify: Notify) -> None:
    """A key that is closed or deleted changes no more: STATUS_NOTIFY_CLEANUP."""
    _, watched = open_key(guest, ROOT + r"\Lab")
    assert notify.ask(watched, LAST_SET) == PENDING
    guest.call("ZwClose", watched)
    assert notify.told() == (True, CLEANUP)
    assert notify.ask(key, LAST_SET) == PENDING
    guest.call("ZwDeleteKey", key)
    assert notify.told() == (True, CLEANUP)
    assert notify.ask(key, LAST_SET) == status("STATUS_KEY_DELETED")
    guest.call("ZwClose", key)
    assert guest.k.key_watches == []


def test_a_synchronous_call_waits_for_the_change(guest: Guest, key: int) -> None:
    """Asynchronous FALSE: the routine does not return before."""
    k, thunk = guest.k, DRIVER + 0x400
    k.memory.write(thunk, guest.read(DRIVER, 0x20))
    k.memory.set_u64(thunk + 0x28, k.stub_of("ZwNotifyChangeKey"))
    block = guest.room(16)

    def activity() -> Generator[Call, int, int]:
        return (yield Call(thunk, (key, 0, 0, 0, block, LAST_SET, 0, 0, 0, 0)))

    thread = k.ps.create_thread(k.ps.system)
    k.ps.start(thread, activity(), "PspSystemThreadStartup")
    k.drive(None)
    assert thread.wait is not None and r"SOFTWARE\Lab" in thread.wait.why
    set_value(guest, key, "Value", REG_DWORD, bytes(4))
    k.drive(None)
    assert (thread.ended, thread.value, guest.u32(block)) == (True, CHANGED, CHANGED)
    # What has changed since ends the next call at once.
    set_value(guest, key, "Value", REG_DWORD, b"\1\0\0\0")
    arguments = (key, 0, 0, 0, block, LAST_SET, 0, 0, 0, 0)
    assert guest.call("ZwNotifyChangeKey", *arguments) == CHANGED


def test_notify_refuses(guest: Guest, key: int, notify: Notify) -> None:
    for what in (0, 0x10):
        assert notify.ask(key, what) == status("STATUS_INVALID_PARAMETER")
    assert notify.ask(0x4444, NAME) == status("STATUS_INVALID_HANDLE")


def test_a_work_item_for_a_change(guest: Guest, key: int, notify: Notify) -> None:
    """In kernel mode ApcRoutine is a WORK_QUEUE_ITEM, ApcContext its queue."""
    seen = guest.room(8)
    code = DRIVER + 0x800
    guest.k.memory.write(code, bytes.fromhex("c70107000000c3"))  # mov dword ptr [rcx], 7; ret
    item = guest.put(struct.pack("<4Q", 0, 0, code, seen))
    assert notify.ask(key, LAST_SET, item=item) == PENDING
    set_value(guest, key, "Value", REG_DWORD, bytes(4))
    guest.k.drive(None, units=10_000)
    assert guest.u32(seen) == 7
