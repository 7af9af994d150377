"""Names that can be a service, a file, a package and a crate at once."""

from __future__ import annotations

import pytest

from kernellab.crate import fit_name, validate_module, validate_name
from kernellab.errors import UsageError


@pytest.mark.parametrize("name", ["hello", "a", "my-driver", "my_driver", "Echo2", "x" * 64])
def test_good_names_come_back(name: str) -> None:
    assert validate_name(name) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("my driver", "character"),
        (" hello", "character"),
        ("hello\n", "character"),
        ("a/b", "character"),
        ("a\\b", "character"),
        ("..", "character"),
        ("../hello", "character"),
        ("hello.sys", "extension"),
        ("hello.rs", "extension"),
        ("2fast", "character"),
        ("-x", "character"),
        ("_x", "character"),
        ("häl", "character"),
        ("hello\u0661", "character"),
        ("<b>", "character"),
        ("a\0b", "character"),
        ("trailing-", "ends in"),
        ("x" * 65, "65 characters"),
        ("x" * 100_000, "100000 characters"),
        ("con", "device"),
        ("CON", "device"),
        ("nul", "device"),
        ("Com1", "device"),
        ("lpt9", "device"),
        ("fn", "keyword"),
        ("async", "keyword"),
        ("Self", "keyword"),
        ("gen", "keyword"),
        ("core", "crate"),
        ("alloc", "crate"),
        ("std", "crate"),
        ("proc-macro", "crate"),
        ("windows-kernel-rs", "crate"),
        ("windows_kernel_sys", "crate"),
        ("deps", "crate"),
        ("ntoskrnl", "Windows kernel"),
        ("HAL", "Windows kernel"),
    ],
)
def test_bad_names_are_refused_with_a_reason(name: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        validate_name(name)
    message = str(caught.value)
    assert why in message
    assert "at most 64 characters" in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("hello", "hello"),
        ("foo-1.2", "foo-1_2"),
        ("my driver", "my_driver"),
        ("1394", "driver_1394"),
        ("ntoskrnl", "driver_ntoskrnl"),
        ("CON", "driver_CON"),
        ("..", "driver"),
        ("\u00fc" * 300, "driver"),
        ("x" * 300, "x" * 64),
    ],
)
def test_somebody_elses_driver_gets_a_name(file: str, name: str) -> None:
    assert fit_name(file) == validate_name(name)


@pytest.mark.parametrize("path", ["proto.rs", "wire/frame.rs", "data/table.bin.txt", "a-b/c_d.rs"])
def test_files_that_a_driver_may_have(path: str) -> None:
    assert validate_module(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", ".rs", "proto", "/proto.rs", "../proto.rs", "a/../b.rs", "a//b.rs", "a\\b.rs"),
        *("C:proto.rs", "con.rs", "aux/x.rs", "Cargo.toml", "cargo.LOCK", "build.rs"),
        *("target/x.rs", "windows-kernel-rs/src/lib.rs", ".cargo/config.toml", "é.rs"),
        *("a b.rs", "x.rs\n", "x" * 201 + ".rs"),
    ],
)
def test_files_that_it_may_not(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be a file of a driver"):
        validate_module(path)
