"""Crates of the user's own, built where they stand; and registry crates."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kernellab.build import BuildResult, Toolchain, build_folder, toolchain
from kernellab.build.symbols import Symbols
from kernellab.crate import template_root
from kernellab.errors import BuildError, UsageError

TEMPLATE = Path(__file__).parent / "template"
HELLO = (Path(__file__).parent / "hello.cell").read_text()

Builder = Callable[..., BuildResult]


@pytest.fixture
def workspace(tmp_path: Path, toolchain: Toolchain) -> Path:
    root = tmp_path / "my workspace"
    shutil.copytree(TEMPLATE, root)
    return root


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_a_member_of_a_workspace(workspace: Path, own_cache: Path) -> None:
    before = files(workspace)
    first = build_folder(workspace / "driver")
    again = build_folder(workspace / "driver")
    assert first.name == "driver" and first.sys.name == "driver.sys"
    assert not first.cached and again.cached and again.sha256 == first.sha256
    assert files(workspace) - before == {"Cargo.lock"}  # as any build with Cargo leaves it


def test_an_edit_is_seen(workspace: Path, own_cache: Path) -> None:
    source = workspace / "driver/src/lib.rs"
    build_folder(workspace / "driver")
    source.write_text(source.read_text().replace("the kernel", "an edit"))
    second = build_folder(workspace / "driver")
    assert not second.cached and b"an edit" in second.sys.read_bytes()


def test_frames_and_messages_name_files_below_src(workspace: Path, own_cache: Path) -> None:
    source = workspace / "driver/src/lib.rs"
    (workspace / "driver/src/deep").mkdir()
    (workspace / "driver/src/deep/er.rs").write_text("pub fn x() -> u8 { let y = 1; 2 }\n")
    source.write_text(source.read_text() + "\npub mod deep { pub mod er; }\n")
    result = build_folder(workspace / "driver")
    assert [(d.file, d.line) for d in result.diagnostics] == [("deep/er.rs", 1)]
    symbols = Symbols.beside(result.sys)
    assert symbols is not None
    from kernellab.build import linker_map

    (init,) = [a for a, n in linker_map.read(result.pdb).items() if "KernelModule$GT$4init" in n]
    assert symbols.lookup(init)[-1].file == "lib.rs"
    assert str(workspace).encode() not in result.sys.read_bytes()


def test_an_error(workspace: Path, own_cache: Path) -> None:
    source = workspace / "driver/src/lib.rs"
    source.write_text(source.read_text().replace("Ok(Module)", "Ok(Modul)"))
    with pytest.raises(BuildError) as caught:
        build_folder(workspace / "driver")
    (first,) = [d for d in caught.value.diagnostics if d.level == "error"]
    assert first.file == "lib.rs" and "--> lib.rs:8:" in first.text
    assert str(workspace) not in first.text


def test_the_shipped_template_builds_as_a_crate(toolchain: Toolchain) -> None:
    result = build_folder(template_root() / "driver")
    assert result.sys.read_bytes()[:2] == b"MZ"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (None, "no Cargo.toml"),
        ("not toml", "not TOML"),
        ("[workspace]\n", "no \\[package\\]"),
        ("[package]\nname = 'x'\n", "cdylib"),
        ("[package]\nname = 'x'\n[lib]\ncrate-type = ['rlib']\n", "cdylib"),
    ],
)
def test_folders_that_are_no_driver(tmp_path: Path, manifest: str | None, words: str) -> None:
    if manifest is not None:
        (tmp_path / "Cargo.toml").write_text(manifest)
    with pytest.raises(UsageError, match=words):
        build_folder(tmp_path)


def test_what_cargo_says_of_a_broken_manifest(tmp_path: Path, toolchain: Toolchain) -> None:
    (tmp_path / "Cargo.toml").write_text(
        "[package]\nname = 'x'\nedition = '1234'\n[lib]\ncrate-type = ['cdylib']\n"
    )
    (tmp_path / "src").mkdir()
    (tmp_path / "src/lib.rs").touch()
    with pytest.raises(BuildError, match="edition"):
        build_folder(tmp_path)


# -- registry crates --------------------------------------------------------------------------

FLAGS = HELLO.replace(
    "struct Module;",
    "bitflags::bitflags! { pub struct Flags: u32 { const A = 1; const B = 2; } }\nstruct Module;",
).replace('"the kernel"', "Flags::all().bits()")


@pytest.fixture
def registry() -> None:
    """Skip where the registry is out of reach and nothing was downloaded before."""
    cargo = toolchain.find_toolchain().cargo
    answer = subprocess.run(
        [cargo, "info", "bitflags@2"], capture_output=True, timeout=60, cwd=Path.home()
    )
    if answer.returncode:
        pytest.skip("no network")


def test_a_registry_crate(make: Builder, own_cache: Path, registry: None) -> None:
    first = make(FLAGS, dependencies={"bitflags": "2"})
    assert first.sys.is_file()
    # Again, changed: from what is there, with the versions chosen before, without network.
    second = make(FLAGS.replace("hello from", "ciao"), dependencies={"bitflags": "2"})
    assert not second.cached and b"ciao" in second.sys.read_bytes()
    # And a driver without it still shares the framework.
    said: list[str] = []
    make(progress=lambda done, total, what: said.append(what))
    assert not any("windows_kernel" in what for what in said)


def test_without_network(
    make: Builder, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "cargo home"
    home.mkdir()
    (home / "config.toml").write_text("[http]\nproxy = 'http://127.0.0.1:9'\n")
    monkeypatch.setenv("CARGO_HOME", str(home))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert make().sys.is_file()  # what needs no crate needs no network
    with pytest.raises(BuildError) as caught:
        make(FLAGS, dependencies={"bitflags": "2"})
    message = str(caught.value)
    assert "needs bitflags, which could not be downloaded: no network" in message
    assert str(own_cache) not in message


def test_a_crate_that_does_not_exist(make: Builder, own_cache: Path, registry: None) -> None:
    with pytest.raises(BuildError, match="no matching package"):
        make(HELLO, dependencies={"kernellab-has-no-such-crate": "1"})


def test_a_version_that_does_not_exist(make: Builder, own_cache: Path, registry: None) -> None:
    with pytest.raises(BuildError, match="bitflags"):
        make(HELLO, dependencies={"bitflags": "99999"})


def test_a_crate_that_needs_std(make: Builder, own_cache: Path, registry: None) -> None:
    with pytest.raises(BuildError, match="std"):
        make(FLAGS, dependencies={"bitflags": {"version": "2", "features": ["std"]}})
