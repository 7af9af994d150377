"""Which compiler is taken, what is said where there is none, and what is remembered."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kernellab.build import Toolchain, find_toolchain, process, toolchain
from kernellab.build.advice import install_advice
from kernellab.errors import ToolchainError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="compilers are made of shell scripts")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Rust on this machine, and an empty cache. Returns the one folder on PATH."""
    for name in ("KERNELLAB_RUSTC", "KERNELLAB_LINKER", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path / "cache"))
    return folder


Installer = Callable[..., Path]


@pytest.fixture
def compiler(tmp_path: Path) -> Installer:
    """Install a rustc that only says who it is: ``compiler(folder, version=…, source=…)``."""

    def install(
        folder: Path,
        *,
        version: str = "1.99.0",
        target: bool = False,
        source: bool = False,
        linker: bool = True,
        cargo: bool = True,
        name: str = "home",
    ) -> Path:
        home = tmp_path / name
        rustlib = home / "lib" / "rustlib"
        if target:
            library = rustlib / toolchain.TARGET / "lib"
            library.mkdir(parents=True)
            (library / "libcore-0123.rlib").touch()
        if source:
            for crate in ("core", "compiler-builtins/compiler-builtins"):
                path = rustlib / "src/rust/library" / crate / "src/lib.rs"
                path.parent.mkdir(parents=True)
                path.touch()
        if linker:
            script(rustlib / "x86_64-unknown-linux-gnu/bin/rust-lld", "echo LLD 22.1.0")
        said = f"release: {version}\ncommit-hash: 0123456789abcdef\nhost: x86_64-unknown-linux-gnu"
        rustc = script(
            folder / "rustc", f'if [ "$1" = --print ]; then echo {home}; else echo "{said}"; fi'
        )
        if cargo:
            script(folder / "cargo", "exit 0")
        return rustc

    return install


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_this_machines_toolchain_is_fit(toolchain: Toolchain) -> None:
    assert toolchain.rustc.is_file() and toolchain.cargo.is_file() and toolchain.linker.is_file()
    assert "LLD" in toolchain.linker_version
    assert toolchain.version in toolchain.describe()
    assert (toolchain.sysroot is None) == (toolchain.source is None)


def test_a_compiler_with_the_target(nowhere: Path, compiler: Installer) -> None:
    rustc = compiler(nowhere, target=True)
    found = find_toolchain()
    assert (found.rustc, found.sysroot, found.source) == (rustc, None, None)
    assert found.linker.name == "rust-lld" and found.linker_version == "LLD 22.1.0"
    assert found.origin == "on PATH"


def test_a_compiler_with_the_librarys_source(nowhere: Path, compiler: Installer) -> None:
    compiler(nowhere, source=True)
    found = find_toolchain()
    assert found.source is not None and found.source.name == "library"
    assert found.sysroot is not None and "1.99.0-012345678" in found.sysroot.name


def test_the_first_that_will_do_is_taken(
    nowhere: Path, compiler: Installer, tmp_path: Path
) -> None:
    compiler(nowhere, name="plain")
    fit = compiler(tmp_path / "rustup/toolchains/nightly/bin", target=True, name="fit")
    found = find_toolchain()
    assert found.rustc == fit and found.origin == "rustup toolchain nightly"


def test_conda_comes_last(
    nowhere: Path, compiler: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "conda"))
    compiler(tmp_path / "conda/bin", target=True)
    assert find_toolchain().origin == "conda"


def test_a_named_compiler_is_the_only_one(
    nowhere: Path, compiler: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(nowhere, target=True, name="fit")
    plain = compiler(tmp_path / "other", name="plain")
    monkeypatch.setenv("KERNELLAB_RUSTC", str(plain))
    with pytest.raises(ToolchainError, match="neither the target"):
        find_toolchain()
    monkeypatch.setenv("KERNELLAB_RUSTC", str(tmp_path / "missing"))
    with pytest.raises(ToolchainError, match="cannot be run"):
        find_toolchain()


def test_a_named_linker(
    nowhere: Path, compiler: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(nowhere, target=True)
    mine = script(tmp_path / "my-lld", "echo LLD mine")
    monkeypatch.setenv("KERNELLAB_LINKER", str(mine))
    assert find_toolchain().linker == mine
    monkeypatch.setenv("KERNELLAB_LINKER", str(tmp_path / "missing"))
    with pytest.raises(ToolchainError, match="KERNELLAB_LINKER"):
        find_toolchain()


def test_the_highest_numbered_linker(nowhere: Path, compiler: Installer) -> None:
    compiler(nowhere, target=True, linker=False)
    for number in (9, 114, 19):
        script(nowhere / f"lld-link-{number}", f"echo LLD {number}")
    assert find_toolchain().linker.name == "lld-link-114"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"version": "1.70.0"}, "is 1.70.0; 1.85 is needed"),
        ({"version": "nonsense"}, "1.85 is needed"),
        ({}, "neither the target"),
        ({"target": True, "cargo": False}, "has no cargo"),
    ],
)
def test_why_a_compiler_will_not_do(
    nowhere: Path, compiler: Installer, what: dict[str, object], words: str
) -> None:
    compiler(nowhere, **what)
    with pytest.raises(ToolchainError) as caught:
        find_toolchain()
    assert words in str(caught.value)
    assert str(nowhere) in str(caught.value)


@pytest.mark.parametrize("body", ["exit 3", "kill -9 $$", "echo", "head -c 100000 /dev/zero"])
def test_a_broken_compiler_is_passed_over(nowhere: Path, body: str) -> None:
    script(nowhere / "rustc", body)
    with pytest.raises(ToolchainError):
        find_toolchain()


def test_without_rust_one_screen_says_what_to_install(nowhere: Path) -> None:
    with pytest.raises(ToolchainError) as caught:
        find_toolchain()
    text = str(caught.value)
    for system in ("Debian", "Ubuntu", "Fedora", "macOS", "Windows", "conda", "rustup"):
        assert system in text
    assert len(text.splitlines()) <= 24 and max(map(len, text.splitlines())) <= 100
    assert caught.value.exit_code == 1


def test_many_compilers_still_fit_one_screen() -> None:
    assert len(install_advice([f"compiler {n}" for n in range(50)]).splitlines()) <= 32


# -- remembering ------------------------------------------------------------------------------


def forget() -> None:
    toolchain._found.clear()


def test_the_answer_is_remembered_by_another_process(
    nowhere: Path, compiler: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler(nowhere, target=True)
    first = find_toolchain()
    forget()  # as another process would begin

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a compiler was started")

    monkeypatch.setattr(process, "run", never)
    assert find_toolchain() == first


def test_what_changed_is_looked_at_again(nowhere: Path, compiler: Installer) -> None:
    rustc = compiler(nowhere, target=True)
    assert find_toolchain().version == "1.99.0"
    rustc.write_text(rustc.read_text().replace("1.99.0", "1.99.1"))
    forget()
    assert find_toolchain().version == "1.99.1"


def test_a_damaged_memory_is_no_trouble(nowhere: Path, compiler: Installer) -> None:
    compiler(nowhere, target=True)
    find_toolchain()
    (memory,) = (Path(os.environ["KERNELLAB_CACHE"]) / "toolchain").iterdir()
    saved = json.loads(memory.read_text())
    del saved["toolchain"]["linker"]
    for text in ("", "{", "[]", "null", json.dumps(saved)):
        memory.write_text(text)
        forget()
        assert find_toolchain().version == "1.99.0"


def test_the_key_follows_compiler_and_linker(toolchain: Toolchain) -> None:
    keys = {
        toolchain.key,
        dataclasses.replace(toolchain, commit_hash="0").key,
        dataclasses.replace(toolchain, linker_version="LLD 0").key,
        dataclasses.replace(toolchain, sysroot=None).key,
    }
    assert len(keys) == (4 if toolchain.sysroot else 3)
    moved = dataclasses.replace(toolchain, linker=Path("/elsewhere/lld-link"))
    assert moved.key == toolchain.key


def test_no_rust_at_all_in_a_fresh_process(nowhere: Path) -> None:
    """As ``kernellab build`` meets it: an empty PATH."""
    code = "from kernellab.build import find_toolchain; find_toolchain()"
    env = {**os.environ, "PATH": ""}
    ended = process.run([sys.executable, "-c", code], env=env, timeout=60)
    assert ended.returncode == 1
    assert "rustup target add x86_64-pc-windows-msvc" in ended.stderr


def test_nothing_is_left_on_path(nowhere: Path) -> None:
    assert shutil.which("rustc") is None
