"""Real builds: what comes out, what is said, what is cached."""

from __future__ import annotations

import hashlib
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kernellab.build import BuildResult, Toolchain, build, store, warm, workspace
from kernellab.build.symbols import Symbols
from kernellab.crate import Crate, write_crate
from kernellab.errors import BuildError

HELLO = (Path(__file__).parent / "hello.cell").read_text()

Builder = Callable[..., BuildResult]


def edited(old: str, new: str) -> str:
    assert old in HELLO
    return HELLO.replace(old, new)


def machine(image: bytes) -> tuple[int, int, int]:
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    assert image[pe : pe + 4] == b"PE\0\0"
    kind = struct.unpack_from("<H", image, pe + 4)[0]
    magic = struct.unpack_from("<H", image, pe + 24)[0]
    subsystem = struct.unpack_from("<H", image, pe + 24 + 68)[0]
    return kind, magic, subsystem


def test_a_driver_comes_out(make: Builder) -> None:
    result = make()
    image = result.sys.read_bytes()
    assert machine(image) == (0x8664, 0x20B, 1)  # AMD64, PE32+, NATIVE
    assert b"ntoskrnl.exe" in image and b"DbgPrintEx" in image and b"hello from " in image
    assert result.sys.name == "hello.sys" and result.pdb.name == "hello.pdb"
    assert (result.size, result.sha256) == (len(image), hashlib.sha256(image).hexdigest())
    assert result.diagnostics == () and result.release is False


def test_the_same_cell_again_costs_nothing(make: Builder) -> None:
    source = edited("bye", f"bye {time.time()}")
    first = make(source)
    again = make(source)
    assert not first.cached and again.cached
    assert again.sys.read_bytes() == first.sys.read_bytes()
    assert again.seconds < 0.05 < first.seconds


def test_an_edit_is_never_answered_from_the_cache(make: Builder) -> None:
    for text in ("one", "two", "three", "two", "four"):
        image = make(edited("the kernel", text)).sys.read_bytes()
        assert f"hello from {text}".encode() in image or text.encode() in image
        others = {"one", "two", "three", "four"} - {text}
        assert not any(f"{other}hello".encode() in image for other in others)


def test_release_is_another_build_and_smaller(make: Builder) -> None:
    debug, release = make(), make(release=True)
    assert release.release and release.sys != debug.sys
    assert release.size <= debug.size


def test_names_with_a_hyphen(make: Builder) -> None:
    result = make(name="my-driver")
    assert result.name == "my-driver" and result.sys.name == "my-driver.sys"
    symbols = Symbols.beside(result.sys)
    assert symbols is not None and symbols.lookup(entry_point(result.sys))


def entry_point(image: Path) -> int:
    data = image.read_bytes()
    pe = struct.unpack_from("<I", data, 0x3C)[0]
    return int(struct.unpack_from("<I", data, pe + 24 + 16)[0])


def test_two_drivers_share_the_framework(make: Builder, own_cache: Path) -> None:
    make()
    said: list[str] = []
    make(name="other", progress=lambda done, total, what: said.append(what))
    assert not any("windows_kernel" in what for what in said)
    assert len(list((own_cache / "drivers").iterdir())) == 2


# -- reproducible -----------------------------------------------------------------------------


def test_two_places_give_the_same_bytes(
    make: Builder, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = edited("the kernel", "anywhere at all")
    make(edited("the kernel", "something before it"))
    first = make(source)
    other = tmp_path / "quite" / "another folder" / "cache"
    other.mkdir(parents=True)
    # The sysroot, where this toolchain needs one, is copied: its place must not matter either.
    if (own_cache / "sysroot").exists():
        shutil.copytree((own_cache / "sysroot").resolve(), other / "sysroot")
    template = tmp_path / "moved" / "template"
    shutil.copytree(Path(__file__).parent / "template", template)
    monkeypatch.setenv("KERNELLAB_CACHE", str(other))
    second = build(write_crate("hello", source, template=template))
    assert not first.cached and not second.cached
    assert first.sys.read_bytes() == second.sys.read_bytes()
    assert identity(first.pdb) == identity(second.pdb)


def identity(pdb: Path) -> bytes:
    from kernellab.build.pdb import Streams

    return Streams(pdb.read_bytes()).read(1)[12:28]


def test_image_and_pdb_belong_together(make: Builder) -> None:
    result = make()
    image = result.sys.read_bytes()
    at = image.index(b"RSDS")
    assert image[at + 4 : at + 20] == identity(result.pdb)
    assert image[at + 24 : at + 34] == b"hello.pdb\0"


def test_the_checksum_is_that_of_the_file(make: Builder) -> None:
    image = bytearray(make().sys.read_bytes())
    at = struct.unpack_from("<I", image, 0x3C)[0] + 24 + 64
    (said,) = struct.unpack_from("<I", image, at)
    image[at : at + 4] = bytes(4)
    # As the loader adds it up: words with end-around carry, and the length.
    total = 0
    for offset in range(0, len(image), 2):
        total += image[offset] | image[offset + 1] << 8
        total = (total & 0xFFFF) + (total >> 16)
    assert said == total + len(image)


def test_the_image_knows_no_folder_of_this_machine(make: Builder, toolchain: Toolchain) -> None:
    image = make(edited("Ok(Module)", "let v: Option<u8> = core::hint::black_box(None);"
                                      " v.unwrap(); panic!(\"x\"); ")).sys.read_bytes()  # fmt: skip
    assert b"cell\0" in image or b"cell" in image
    for folder in ("/root", "/home", "/tmp", "/usr/src", str(Path.home()), ".cache"):
        assert folder.encode() not in image


# -- what goes wrong --------------------------------------------------------------------------


def failed(make: Builder, source: str, **more: object) -> BuildError:
    with pytest.raises(BuildError) as caught:
        make(source, **more)
    assert "/tmp" not in str(caught.value)
    for diagnostic in caught.value.diagnostics:
        for text in (diagnostic.text, diagnostic.html):
            assert "/tmp" not in text and "/root" not in text and ".cache" not in text
    return caught.value


def test_an_error_has_the_cells_line(make: Builder) -> None:
    error = failed(make, edited("Ok(Module)", "Ok(Modul)"))
    (first,) = [d for d in error.diagnostics if d.level == "error"]
    assert (first.code, first.file, first.line, first.column) == ("E0425", "cell", 9, 12)
    assert "--> cell:9:12" in first.text
    assert "9 |         Ok(Modul)" in first.text
    assert "\x1b[" in first.ansi and "\x1b" not in first.text
    assert str(error) == "hello cannot be built: cannot find value `Modul` in this scope (cell:9)"


def test_all_errors_and_warnings_are_there(make: Builder) -> None:
    source = edited("Ok(Module)", "let unused = 1; let a: u8 = \"\"; let b: u8 = 'c'; Ok(Module)")
    error = failed(make, source)
    assert [d.line for d in error.diagnostics if d.level == "error"] == [9, 9]
    assert "(2 errors)" in str(error)


def test_warnings_come_with_the_driver_and_again_from_the_cache(make: Builder) -> None:
    source = edited("Ok(Module)", f"let unused{time.time_ns()} = 1; Ok(Module)")
    first, again = make(source), make(source)
    assert again.cached
    assert first.diagnostics == again.diagnostics
    (warning,) = again.diagnostics
    assert (warning.level, warning.code, warning.line) == ("warning", "unused_variables", 9)
    assert warning.suggestions[0].replacement.startswith("_unused")
    assert (warning.suggestions[0].line, warning.suggestions[0].column) == (9, 13)


def test_a_mistake_in_a_macros_argument_is_at_its_line(make: Builder) -> None:
    error = failed(make, edited('"the kernel"', "nothing_like_it"))
    assert (error.diagnostics[0].file, error.diagnostics[0].line) == ("cell", 8)


def test_a_mistake_that_a_macro_of_the_framework_makes_visible(make: Builder) -> None:
    error = failed(make, edited("kernel_module!(Module)", "kernel_module!(u32)"))
    (first,) = [d for d in error.diagnostics if d.code == "E0277"]
    assert (first.file, first.line) == ("cell", 16)


def test_a_file_says_its_own_name(make: Builder) -> None:
    source = HELLO.lstrip("\n").replace("Ok(Module)", "Ok(Modul)")
    error = failed(make, source, file_name="my driver.rs")
    assert (error.diagnostics[0].file, error.diagnostics[0].line) == ("my driver.rs", 8)


def test_an_error_in_the_first_line_of_a_file(make: Builder) -> None:
    source = "use nothing::like_it;\n" + HELLO
    error = failed(make, source, file_name="x.rs")
    (first,) = [d for d in error.diagnostics if d.level == "error"]
    assert (first.line, first.column) == (1, 5)
    lines = first.text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("1 |"))
    assert lines[at] == "1 | use nothing::like_it;"
    assert lines[at + 1].startswith("  |     ^^^^^^^")
    assert "--> x.rs:1:5" in first.text
    assert "no_std" not in first.text


def test_without_an_entry_point(make: Builder) -> None:
    error = failed(make, edited("kernel_module!(Module);", ""))
    (first,) = [d for d in error.diagnostics if d.level == "error"]
    assert first.code == "no-driver-entry"
    assert "kernel_module!(Module);" in str(error) and "DriverEntry" in str(error)


def test_an_empty_cell(make: Builder) -> None:
    assert failed(make, "\n").diagnostics[-1].code == "no-driver-entry"


def test_an_unresolved_symbol(make: Builder) -> None:
    source = (
        HELLO
        + """
unsafe extern "C" { fn ZwFoo(); fn KeBar(); }
#[unsafe(no_mangle)] pub extern "C" fn call() { unsafe { ZwFoo(); KeBar() } }
"""
    )
    error = failed(make, source)
    messages = [d.message for d in error.diagnostics if d.code == "unresolved-symbol"]
    assert messages == ["unresolved external symbol `ZwFoo`", "unresolved external symbol `KeBar`"]
    assert "lld" not in str(error)


def test_a_symbol_that_is_there_twice(make: Builder) -> None:
    error = failed(make, HELLO + "\n#[unsafe(no_mangle)] static _fltused: i32 = 1;\n")
    assert [d.code for d in error.diagnostics if d.level == "error"] == ["duplicate-symbol"]
    assert "_fltused" in str(error)


def test_a_driver_entry_of_its_own(make: Builder) -> None:
    source = """
use core::ffi::c_void;
#[unsafe(no_mangle)]
pub extern "system" fn DriverEntry(_driver: *mut c_void, _path: *mut c_void) -> i32 { 0 }
"""
    result = make(source)
    assert result.sys.is_file() and result.diagnostics == ()


def test_a_driver_that_wants_std(make: Builder, toolchain: Toolchain) -> None:
    with pytest.raises(BuildError) as caught:
        make(HELLO + "\nextern crate std;\n")
    shown = str(caught.value) + "".join(d.text for d in caught.value.diagnostics)
    assert "`std`" in shown and "lang item" not in shown
    assert str(toolchain.home) not in shown


def test_source_that_wants_to_break_out(make: Builder) -> None:
    error = failed(make, "\n<script>alert(1)</script> \x1b[31m \x07\n")
    for diagnostic in error.diagnostics:
        assert "<script" not in diagnostic.html
        assert "\x07" not in diagnostic.text and "\x1b" not in diagnostic.html


def test_after_an_error_the_next_cell_builds(make: Builder) -> None:
    failed(make, "\nnot rust")
    assert make(edited("bye", f"after {time.time()}")).sys.is_file()


# -- the store --------------------------------------------------------------------------------


def test_a_damaged_entry_is_built_again(make: Builder, own_cache: Path) -> None:
    first = make()
    first.sys.write_bytes(b"short")
    second = make()
    assert not second.cached and second.size == first.size == len(second.sys.read_bytes())
    (second.sys.parent / "result.json").write_text("{")
    assert not make().cached


def test_old_drivers_go_when_there_are_too_many(make: Builder, own_cache: Path) -> None:
    results: list[BuildResult] = []
    for index in range(3):
        results.append(make(edited("bye", f"bye {index}")))
        time.sleep(0.02)
    assert make(edited("bye", "bye 0")).cached  # used again: now the youngest
    one = sum(p.stat().st_size for p in results[0].sys.parent.iterdir())
    store.prune(keep=int(one * 2.5))
    assert [r.sys.exists() for r in results] == [True, False, True]
    store.prune(keep=0)
    assert store.count() == 0


def test_warm_builds_the_framework(
    toolchain: Toolchain, own_cache: Path, crate_of: Callable[..., Crate]
) -> None:
    said: list[str] = []
    warm(crate_of(), progress=lambda done, total, what: said.append(what))
    assert any("compiling" in each and "windows-kernel-rs" in each for each in said)
    place = workspace.place_for(crate_of(), toolchain)
    assert (place / "target").is_dir()
    # A stored driver is no sign of a compiled framework.
    shutil.rmtree(place)
    warm(crate_of())
    assert (place / "target").is_dir()
    warm(crate_of(), progress=lambda *_: pytest.fail("was compiled again"))
