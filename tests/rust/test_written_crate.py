"""A cell written out as a crate: plain cargo makes of it what kernellab makes of the cell."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from kernellab.build import Toolchain, build, build_folder, image, workspace
from kernellab.crate import write_crate, write_plain
from tests.drivers import driver_source

#: Panics name the cell's place; the allocator and formatting bring the libraries'.
CELL = "\n" + driver_source('println!("{:?}", vec![path.len()].first().unwrap());').replace(
    "_: &str", "path: &str"
).replace("use windows_kernel_rs", "extern crate alloc;\nuse alloc::vec;\nuse windows_kernel_rs")

#: Linked with the bindings only.
ALONE = """
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! { loop {} }
#[unsafe(no_mangle)]
pub extern "system" fn DriverEntry(driver: *const [u8; 4000], _: usize) -> i32 {
    let copy = core::hint::black_box(unsafe { *driver });
    i32::from(copy[0])
}
"""


def plain_cargo(folder: Path, toolchain: Toolchain, *arguments: str) -> None:
    """``cargo build``, with the environment that a toolchain found elsewhere asks for."""
    env = {key: value for key, value in os.environ.items() if not key.endswith("RUSTFLAGS")}
    env |= {
        "RUSTC": str(toolchain.rustc),
        "CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER": str(toolchain.linker),
        "CARGO_TARGET_DIR": str(folder / "target"),
    }
    if toolchain.sysroot is not None:
        env["CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_RUSTFLAGS"] = f"--sysroot={toolchain.sysroot}"
    command = [str(toolchain.cargo), "build", "--offline", *arguments]
    answer = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=280
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("source", "release"), [(CELL, False), (CELL, True), (ALONE, False), (ALONE, True)]
)
def test_the_same_bytes(toolchain: Toolchain, tmp_path: Path, source: str, release: bool) -> None:
    root = tmp_path / "a folder"
    crate = write_crate("my-hello", source)
    write_plain(crate, root)
    ours = build(crate, release=release, toolchain=toolchain).sys.read_bytes()
    plain_cargo(root, toolchain, *(["--release"] if release else []))
    folder = root / "target" / "x86_64-pc-windows-msvc" / ("release" if release else "debug")
    theirs = (folder / "my_hello.dll").read_bytes()
    pdb = (folder / "my_hello.pdb").read_bytes()
    # But for the stamp, which lld derives from the names of rustc's temporary files.
    assert image.stamp(theirs, pdb)[0] == ours


def test_it_is_a_crate_folder_too(toolchain: Toolchain, tmp_path: Path) -> None:
    crate = write_crate("my-hello", ALONE)
    write_plain(crate, tmp_path)
    theirs = build_folder(tmp_path, toolchain=toolchain)
    assert theirs.sha256 == build(crate, toolchain=toolchain).sha256


def test_the_flags_are_the_same_everywhere(template: Path, tmp_path: Path) -> None:
    write_plain(write_crate("hello", CELL), tmp_path)
    config = tomllib.loads((tmp_path / ".cargo" / "config.toml").read_text())
    flags = config["target"]["x86_64-pc-windows-msvc"]["rustflags"]
    linked = [word.removeprefix("-Clink-arg=") for word in flags if "link-arg" in word]
    assert linked == list(workspace.LINK_ARGUMENTS)
    script = (template / "driver" / "build.rs").read_text()
    assert re.findall(r'"(/.+?)"', script) == list(workspace.LINK_ARGUMENTS)
