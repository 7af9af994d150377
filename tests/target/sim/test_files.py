"""Files that Python and drivers share, and the folder of the host that they may come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import NtStatusError, UsageError
from kernellab.lab import Target

Build = Callable[..., BuildResult]

_EXTRA = """
use windows_kernel_rs::sys::*;

fn open(path: &str, access: u32, disposition: u32) -> (NTSTATUS, HANDLE) {
    unsafe {
        let mut wide = [0u16; 96];
        let mut n = 0;
        for u in path.encode_utf16() { wide[n] = u; n += 1; }
        let name = UNICODE_STRING { Length: 2 * n as u16, MaximumLength: 2 * n as u16,
            Buffer: wide.as_mut_ptr() };
        let mut oa: OBJECT_ATTRIBUTES = core::mem::zeroed();
        oa.Length = 48; oa.ObjectName = &name; oa.Attributes = 0x240;
        let mut handle: HANDLE = core::ptr::null_mut();
        let mut block: IO_STATUS_BLOCK = core::mem::zeroed();
        let status = ZwCreateFile(&mut handle, access | 0x100000, &oa, &mut block,
            core::ptr::null(), 0, 7, disposition, 0x20, core::ptr::null(), 0);
        (status, handle)
    }
}
"""

_COPY = """unsafe {
    let (status, from) = open("\\\\??\\\\C:\\\\in.txt", 1, 1);
    println!("{status}");
    let mut buffer = [0u8; 64];
    let mut block: IO_STATUS_BLOCK = core::mem::zeroed();
    println!("{}", ZwReadFile(from, core::ptr::null_mut(), None, core::ptr::null(), &mut block,
        buffer.as_mut_ptr().cast(), 64, core::ptr::null(), core::ptr::null()));
    let size = block.Information;
    buffer[..size].make_ascii_uppercase();
    let (_, to) = open("\\\\??\\\\C:\\\\out.txt", 2, 2);
    println!("{}", ZwWriteFile(to, core::ptr::null_mut(), None, core::ptr::null(), &mut block,
        buffer.as_ptr().cast(), size as u32, core::ptr::null(), core::ptr::null()));
    ZwClose(from); ZwClose(to);
}"""


def test_a_driver_copies_a_file(target: Target, build_driver: Build) -> None:
    """WDK: "Using Files in a Driver"."""
    target.files[r"C:\in.txt"] = b"hello"
    driver = target.load(build_driver("copy", _COPY, extra=_EXTRA).sys)
    driver.unload()
    assert list(driver.log.lines) == ["0", "0", "0", "bye"]
    assert target.files[r"C:\OUT.TXT"] == b"HELLO"
    assert target.violations == []


def test_a_handle_that_is_left_open_is_named(target: Target, build_driver: Build) -> None:
    """WDK: "ZwClose function (wdm.h)"."""
    body = 'let _ = open("\\\\??\\\\C:\\\\left.txt", 2, 3);'
    target.load(build_driver("left", body, extra=_EXTRA).sys).unload()
    assert [v.rule for v in target.violations] == ["leak-handle"]


def test_files_from_python(target: Target) -> None:
    files = target.files
    files[r"C:\Lab\deep\x.bin"] = b"\0\1" * 700_000
    assert len(files[r"c:\lab\DEEP\X.BIN"]) == 1_400_000
    assert files.list(r"C:\Lab") == [{"name": "deep", "folder": True, "size": 0}]
    assert list(files) == [r"C:\Lab\deep\x.bin"]
    del files[r"C:\Lab\deep\x.bin"]
    assert r"C:\Lab\deep\x.bin" not in files
    for bad in (r"D:\x", r"\\server\x", "/etc/passwd", r"C:\..\x", r"C:\a:b"):
        with pytest.raises(NtStatusError):
            files[bad] = b""


def test_a_folder_of_the_host(tmp_path: Path, build_driver: Build) -> None:
    (tmp_path / "in.txt").write_bytes(b"from the host")
    (tmp_path / "sub").mkdir()
    with kernellab.connect("sim", files=tmp_path) as target:
        target.load(build_driver("copy", _COPY, extra=_EXTRA).sys).unload()
        assert (tmp_path / "out.txt").read_bytes() == b"FROM THE HOST"
        target.files[r"C:\sub\new.txt"] = b"x"
        assert (tmp_path / "sub" / "new.txt").read_bytes() == b"x"
        del target.files[r"C:\in.txt"]
        assert not (tmp_path / "in.txt").exists()
    with pytest.raises(UsageError, match="no folder"):
        kernellab.connect("sim", files=tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links here")
def test_symbolic_links_of_the_host_lead_nowhere(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "secret")
    with kernellab.connect("sim", files=folder) as target:
        assert [e["name"] for e in target.files.list()] == ["Windows"]
        target.files[r"C:\link\secret"] = b"overwritten"
        target.files[r"C:\file"] = b"overwritten"
        target.files[r"C:\later\x"] = b"1"
        (folder / "later" / "x").unlink()
        (folder / "later").rmdir()
        (folder / "later").symlink_to(outside)
        target.files[r"C:\later\x"] = b"2"
        del target.files[r"C:\later\x"]
    assert [p.name for p in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"
    assert (folder / "link").is_symlink()
    assert (folder / "file").is_symlink()


def test_a_driver_opens_a_device_by_name(
    target: Target, build_driver: Build, devices: Path
) -> None:
    """WDK: "ZwCreateFile function (wdm.h)", "ZwDeviceIoControlFile function (ntifs.h)"."""
    reverse = 0x22 << 16 | 0x800 << 2
    body = f"""
    let (status, handle) = open("\\\\??\\\\Devices", 3, 1);
    println!("{{status}}");
    let mut block: IO_STATUS_BLOCK = core::mem::zeroed();
    let (null, none) = (core::ptr::null_mut(), core::ptr::null());
    let mut b = *b"abcdef";
    println!("{{}} {{}}", ZwWriteFile(handle, null, None, null, &mut block, b.as_ptr().cast(), 6,
        none, core::ptr::null()), block.Information);
    b = [0; 6];
    println!("{{}} {{}} {{}}", ZwReadFile(handle, null, None, null, &mut block,
        b.as_mut_ptr().cast(), 4, &0, core::ptr::null()), block.Information,
        core::str::from_utf8(&b[..4]).unwrap());
    println!("{{}} {{}} {{}}", ZwDeviceIoControlFile(handle, null, None, null, &mut block,
        {reverse}, b.as_ptr().cast(), 4, b.as_mut_ptr().cast(), 4), block.Information,
        core::str::from_utf8(&b[..4]).unwrap());
    println!("{{:08x}}", ZwDeviceIoControlFile(handle, null, None, null, &mut block, 0x229FFC,
        null, 0, null, 0) as u32);
    println!("{{}}", ZwClose(handle));
    """
    driver = target.load(devices)
    opener = target.load(build_driver("opener", f"unsafe {{ {body} }}", extra=_EXTRA).sys)
    assert next(d for d in target.status()["devices"] if d["driver"] == driver.name)["handles"] == 0
    opener.unload()
    lines = ["0", "0 6", "0 4 abcd", "0 4 dcba", "c0000010", "0", "bye"]
    assert list(opener.log.lines) == lines
    driver.unload()
    assert target.violations == []


def test_a_device_that_is_not_there(target: Target, build_driver: Build) -> None:
    """WDK: "ZwCreateFile function (wdm.h)": the device's own directory is searched."""
    body = """
    println!("{:08x}", open("\\\\Device\\\\Nothing", 3, 1).0 as u32);
    println!("{:08x}", open("\\\\KernelObjects", 3, 1).0 as u32);
    """
    driver = target.load(build_driver("seeker", body, extra=_EXTRA).sys)
    driver.unload()
    assert list(driver.log.lines) == ["c0000034", "c0000024", "bye"]
