"""The registry as drivers and as Python have it, together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kernellab.build import BuildResult
from kernellab.errors import NtStatusError
from kernellab.lab import Target
from kernellab.system import RegistryValue, decode_value, encode_value

Build = Callable[..., BuildResult]

_EXTRA = """
use core::ffi::c_void;
use windows_kernel_rs::sys::*;

#[allow(dead_code)]
fn wide(text: &str) -> [u16; 96] {
    let mut out = [0u16; 96];
    for (to, from) in out.iter_mut().zip(text.encode_utf16()) { *to = from; }
    out
}

#[allow(dead_code)]
fn entry(flags: u32, name: &[u16; 96], context: *mut c_void) -> RTL_QUERY_REGISTRY_TABLE {
    let mut e: RTL_QUERY_REGISTRY_TABLE = unsafe { core::mem::zeroed() };
    e.Flags = flags;
    e.Name = name.as_ptr() as _;
    e.EntryContext = context;
    e
}

#[allow(dead_code)]
unsafe extern "system" fn each(name: PCWSTR, kind: u32, data: *mut c_void, length: u32,
    _: *mut c_void, context: *mut c_void) -> NTSTATUS {
    unsafe {
        let first = if name.is_null() { '-' } else { char::from_u32(*name as u32).unwrap() };
        let byte = if length > 0 { *(data as *const u8) } else { 0 };
        println!("{first} {kind} {length} {byte} {}", context as usize);
    }
    0
}
"""


def run(target: Target, build: Build, name: str, body: str, **options: Any) -> list[str]:
    image = build(name, f"unsafe {{ {body} }}", extra=_EXTRA).sys
    driver = target.load(image, **options)
    driver.unload()
    return list(driver.log.lines)


@pytest.mark.parametrize(
    ("value", "kind"),
    [(5, 4), (1 << 40, 11), ("text", 1), (b"\0\1", 3), (["a", "b"], 7), ([], 7), ("", 1)],
)
def test_values_survive_the_registry(target: Target, value: Any, kind: int) -> None:
    key = target.registry[r"HKLM\SOFTWARE\Lab\Deep"]
    assert not key.exists
    key["Value"] = value
    assert key["VALUE"] == value
    assert key.raw["Value"].type == kind
    assert decode_value(encode_value(value)) == value


def test_keys_from_python(target: Target) -> None:
    software = target.registry[r"HKCU\Software"]
    (software / "Lab" / "Inner")["a"] = RegistryValue(99, b"x")
    assert software.subkeys == ["Lab"]
    assert dict(software / "lab" / "INNER") == {"a": RegistryValue(99, b"x")}
    del (software / "Lab" / "Inner")["A"]
    assert len(software / "Lab" / "Inner") == 0
    (software / "Lab").delete()
    assert software.subkeys == []
    with pytest.raises(KeyError):
        target.registry[r"HKLM\SOFTWARE\None"]["x"]
    with pytest.raises(NtStatusError, match="NOT_FOUND"):
        target.registry[r"HKLM\SOFTWARE\None"].delete()


def test_a_driver_reads_its_parameters(target: Target, build_driver: Build) -> None:
    """WDK: "RtlQueryRegistryValues function (wdm.h)": RTL_QUERY_REGISTRY_DIRECT."""
    body = """
    let path = wide("params\\\\Parameters");
    let (depth, name, list, none) = (wide("Depth"), wide("Name"), wide("Raw"), wide("None"));
    let mut number = 0u32;
    let mut missing = 7u32;
    let mut default = 9u32;
    let mut text: UNICODE_STRING = core::mem::zeroed();
    let mut raw = [16i32, 0, 0, 0];
    let mut table: [RTL_QUERY_REGISTRY_TABLE; 6] = core::mem::zeroed();
    table[0] = entry(0x20 | 0x100, &depth, (&raw mut number).cast());
    table[0].DefaultType = 4 << 24;
    table[1] = entry(0x20, &name, (&raw mut text).cast());
    table[2] = entry(0x20, &list, raw.as_mut_ptr().cast());
    table[3] = entry(0x20, &none, (&raw mut missing).cast());
    table[3].DefaultType = 4; table[3].DefaultData = (&raw mut default).cast();
    table[3].DefaultLength = 4;
    let status = RtlQueryRegistryValues(1, path.as_ptr(), table.as_mut_ptr(),
        core::ptr::null(), core::ptr::null());
    println!("{status} {number} {missing} {} {} {:?}", text.Length, *text.Buffer, raw);
    ExFreePool(text.Buffer.cast());
    table[0].DefaultType = 1 << 24;
    let status = RtlQueryRegistryValues(1, path.as_ptr(), table.as_mut_ptr(),
        core::ptr::null(), core::ptr::null());
    println!("{:08x}", status as u32);
    table[0].DefaultType = 4 << 24;
    table[0].Flags |= 4; table[0].Name = none.as_ptr() as _;
    let status = RtlQueryRegistryValues(1, path.as_ptr(), table.as_mut_ptr(),
        core::ptr::null(), core::ptr::null());
    println!("{:08x}", status as u32);
    let nowhere = wide("nowhere");
    let status = RtlQueryRegistryValues(1, nowhere.as_ptr(), table.as_mut_ptr(),
        core::ptr::null(), core::ptr::null());
    println!("{:08x}", status as u32);
    let status = RtlQueryRegistryValues(0x8000_0001, nowhere.as_ptr(), table.as_mut_ptr(),
        core::ptr::null(), core::ptr::null());
    println!("{status}");
    """
    parameters = {"Depth": 5, "Name": "abc", "Raw": b"12345678"}
    lines = run(target, build_driver, "params", body, parameters=parameters)
    raw = [8, 3, *(int.from_bytes(b, "little") for b in (b"1234", b"5678"))]
    assert lines == [
        f"0 5 9 6 97 {raw}",
        "c0000024",
        "c0000034",
        "c0000034",
        "0",
        "bye",
    ]
    assert target.violations == []
    service = target.registry[r"HKLM\SYSTEM\CurrentControlSet\Services\params"]
    assert (service["Type"], service["Start"], service["ErrorControl"]) == (1, 3, 1)
    assert service["ImagePath"] == r"\??\C:\Windows\System32\drivers\params.sys"


def test_query_routines_are_called_for_each_value(target: Target, build_driver: Build) -> None:
    """WDK: "RtlQueryRegistryValues function (wdm.h)": SUBKEY, TOPKEY, NOVALUE, DELETE, strings."""
    body = """
    let path = wide("each\\\\Parameters");
    let (sub, many, name) = (wide("Sub"), wide("Many"), wide("Name"));
    let mut table: [RTL_QUERY_REGISTRY_TABLE; 7] = core::mem::zeroed();
    table[0] = entry(1, &sub, 1 as _); table[0].QueryRoutine = Some(each);
    table[1] = entry(2, &many, 2 as _); table[1].QueryRoutine = Some(each);
    table[2] = entry(0x10, &many, 3 as _); table[2].QueryRoutine = Some(each);
    table[3] = entry(0x40, &name, 4 as _); table[3].QueryRoutine = Some(each);
    table[4] = entry(8, &name, 5 as _); table[4].QueryRoutine = Some(each);
    table[4].Name = core::ptr::null_mut();
    let status = RtlQueryRegistryValues(1, path.as_ptr(), table.as_mut_ptr(),
        core::ptr::null(), core::ptr::null());
    println!("{status}");
    """
    parameters = target.registry.parameters("each")
    (parameters / "Sub")["x"] = 3
    (parameters / "Sub")["y"] = "t"
    parameters["Many"] = ["p", "qq"]
    parameters["Name"] = "n"
    lines = run(target, build_driver, "each", body)
    assert lines == [
        *("x 4 4 3 1", "y 1 4 116 1"),
        *("M 1 4 112 2", "M 1 6 113 2", "M 7 12 112 3"),
        *("N 1 4 110 4", "- 0 0 0 5"),
        *("0", "bye"),
    ]
    assert dict(parameters) == {"Many": ["p", "qq"]}


def test_what_a_driver_writes_python_reads(target: Target, build_driver: Build) -> None:
    """WDK: "RtlWriteRegistryValue function (wdm.h)", "RtlCheckRegistryKey function (wdm.h)"."""
    body = """
    let (path, name) = (wide("writer\\\\State"), wide("Count"));
    let value = 42u32;
    println!("{:08x}", RtlCheckRegistryKey(1, path.as_ptr() as _) as u32);
    println!("{}", RtlWriteRegistryValue(1, path.as_ptr(), name.as_ptr(), 4,
        (&raw const value).cast(), 4));
    println!("{}", RtlCheckRegistryKey(1, path.as_ptr() as _));
    let (gone, made) = (wide("Gone"), wide("writer\\\\Made"));
    println!("{:08x}", RtlDeleteRegistryValue(1, path.as_ptr(), gone.as_ptr()) as u32);
    println!("{}", RtlCreateRegistryKey(1, made.as_ptr() as _));
    """
    lines = run(target, build_driver, "writer", body)
    assert lines == ["c0000034", "0", "0", "c0000034", "0", "bye"]
    service = target.registry[r"HKLM\SYSTEM\ControlSet001\Services\writer"]
    assert dict(service / "State") == {"Count": 42}
    assert service.subkeys == ["Made", "Parameters", "State"]


def test_a_driver_blocks_what_python_writes(target: Target, build_driver: Build) -> None:
    """WDK: "Handling Notifications": a program's write is refused."""
    extra = """
    static mut COOKIE: i64 = 0;
    unsafe extern "system" fn guard(_: *mut c_void, class: *mut c_void,
        info: *mut c_void) -> NTSTATUS {
        unsafe {
            if class as i32 == RegNtPreSetValueKey {
                let info = &*(info as *const REG_SET_VALUE_KEY_INFORMATION);
                println!("set {} of {} bytes", *(*info.ValueName).Buffer, info.DataSize);
                if *(*info.ValueName).Buffer == b'L' as u16 { return STATUS_ACCESS_DENIED; }
            }
        }
        0
    }
    """
    body = "CmRegisterCallback(Some(guard), core::ptr::null(), &raw mut COOKIE);"
    image = build_driver(
        *("guard", f"unsafe {{ {body} }}"),
        "unsafe { CmUnRegisterCallback(COOKIE); }",
        _EXTRA + extra,
    ).sys
    driver = target.load(image)
    key = target.registry[r"HKLM\SOFTWARE\Lab"]
    key["Free"] = 1
    with pytest.raises(NtStatusError, match="STATUS_ACCESS_DENIED"):
        key["Locked"] = 1
    driver.unload()
    key["Locked"] = 2
    assert dict(key) == {"Free": 1, "Locked": 2}
    assert list(driver.log.lines) == ["set 70 of 4 bytes", "set 76 of 4 bytes"]
