"""The workspace by itself: generated files up to date, formatted, without warnings, tested."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from kernellab.build import Toolchain, build
from kernellab.crate import write_crate, write_plain
from kernellab.errors import BuildError
from tests.drivers import driver_source
from tools import bindings

_NO_NETWORK = re.compile(r"failed to (get|download|fetch)|offline|network|resolve host", re.I)


def _run(command: Sequence[str | Path], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.fixture(scope="session")
def target(toolchain: Toolchain, template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A target folder outside the checkout; the crates of the optional features are there."""
    fetch: list[str | Path] = [toolchain.cargo, "fetch", "--locked"]
    answer = _run([*fetch, "--offline"], template)
    if answer.returncode:
        answer = _run(fetch, template)
    if answer.returncode and _NO_NETWORK.search(answer.stderr):
        pytest.skip("the crates of the optional features cannot be downloaded here")
    assert answer.returncode == 0, answer.stderr
    return str(tmp_path_factory.mktemp("target"))


#: Each of the framework's features, which all work together.
_FEATURES = ("--all-features",)


@pytest.mark.slow
def test_generated_files_are_up_to_date(toolchain: Toolchain, template: Path) -> None:
    """What was recorded when they were made; where that is not so, the generator itself."""
    if bindings.recorded():
        return
    target = str(template / "target" / "tools")  # kept: it takes half a minute to compile
    manifest = template / "tools" / "bindgen" / "Cargo.toml"
    arguments = ["run", "--locked", "--quiet", "--target", toolchain.host]
    command: list[str | Path] = [
        toolchain.cargo,
        *arguments,
        "--manifest-path",
        manifest,
        "--",
        "--check",
    ]
    answer = _run(command, template.parent, RUSTC=str(toolchain.rustc), CARGO_TARGET_DIR=target)
    if answer.returncode and _NO_NETWORK.search(answer.stderr):
        pytest.skip("the generator's crates cannot be downloaded here")
    assert answer.returncode == 0, answer.stderr
    pytest.fail("they are up to date, but that is not recorded: make bless")


def test_a_change_is_seen(tmp_path: Path) -> None:
    everything = [path for paths in bindings.files() for path in paths]
    for path in everything:
        copy = tmp_path / path.relative_to(bindings.ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    assert bindings.recorded(tmp_path)
    for path in everything:
        copy = tmp_path / path.relative_to(bindings.ROOT)
        text = copy.read_bytes()
        copy.write_bytes(text + b" ")
        assert not bindings.recorded(tmp_path), path
        copy.write_bytes(text)


def test_formatted(template: Path) -> None:
    cargo = shutil.which("cargo")
    if cargo is None or _run([cargo, "fmt", "--version"], template).returncode:
        pytest.skip("no rustfmt")
    for folder in (template, template / "tools" / "bindgen"):
        answer = _run([cargo, "fmt", "--all", "--check"], folder)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def _clippy(cargo: Path | str, *arguments: str, cwd: Path, **env: str) -> None:
    answer = _run([cargo, "clippy", "--offline", *arguments, "--", "-Dwarnings"], cwd, **env)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("features", [(), _FEATURES], ids=["plain", "features"])
def test_no_warnings_for_the_kernel(
    toolchain: Toolchain, template: Path, target: str, features: tuple[str, ...]
) -> None:
    """Clippy on what is built into drivers, with the compiler that builds them."""
    driver = toolchain.rustc.with_name("clippy-driver" + toolchain.rustc.suffix)
    if not driver.is_file() or not driver.with_name("cargo-clippy" + driver.suffix).is_file():
        pytest.skip(f"no clippy beside {toolchain.rustc}")
    flags = f"--sysroot={toolchain.sysroot}" if toolchain.sysroot else ""
    path = os.pathsep.join([str(driver.parent), os.environ.get("PATH", "")])
    _clippy(
        toolchain.cargo,
        *features,
        cwd=template,
        PATH=path,
        RUSTC=str(toolchain.rustc),
        RUSTFLAGS=flags,
        CARGO_TARGET_DIR=target,
    )


def _host_cargo(template: Path, *tool: str) -> tuple[str, str]:
    """A cargo that can do ``tool``, and its host's name."""
    cargo, rustc = shutil.which("cargo"), shutil.which("rustc")
    if cargo is None or rustc is None or _run([cargo, *tool], template).returncode:
        pytest.skip(f"no cargo {tool[0]}")
    found = re.search(r"host: (\S+)", _run([rustc, "-vV"], template).stdout)
    assert found
    return cargo, found[1]


def test_no_warnings_on_this_computer(template: Path, target: str) -> None:
    """Clippy on the unit tests and on the generator."""
    cargo, host = _host_cargo(template, "clippy", "--version")
    libraries = ["-p", "windows-kernel-rs", "-p", "windows-kernel-sys", *_FEATURES]
    _clippy(
        cargo, "--all-targets", "--target", host, *libraries, cwd=template, CARGO_TARGET_DIR=target
    )


def _cargo_test(command: Sequence[str | Path], template: Path, target: str) -> int:
    """How many tests passed; all have to."""
    answer = _run(command, template, CARGO_TARGET_DIR=target)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return sum(map(int, re.findall(r"(\d+) passed", answer.stdout)))


def test_unit_tests(template: Path, target: str) -> None:
    """What needs no kernel: errors, splitting of text, the allocator, IRQL, IRPs, lists."""
    cargo, host = _host_cargo(template, "version")
    libraries = ["-p", "windows-kernel-rs", "-p", "windows-kernel-sys", "--lib", *_FEATURES]
    command = [cargo, "test", "--offline", "--target", host, *libraries]
    assert _cargo_test(command, template, target) >= 30


def test_the_examples_in_the_documentation_build(template: Path, target: str) -> None:
    """They are `no_run`: what they call is in the kernel."""
    cargo, host = _host_cargo(template, "version")
    command = [cargo, "test", "--offline", "--target", host, "-p", "windows-kernel-rs", "--doc"]
    command += _FEATURES
    assert _cargo_test(command, template, target) >= 10
    sources = (template / "windows-kernel-rs" / "src").rglob("*.rs")
    assert [path.name for path in sources if "```ignore" in path.read_text()] == []


@pytest.mark.slow
def test_unit_tests_under_miri(template: Path, tmp_path: Path) -> None:
    """Miri finds undefined behaviour in what needs no kernel."""
    cargo, host = _host_cargo(template, "version")
    tool = [cargo, "miri"]
    if _run([*tool, "--version"], template).returncode:
        tool = [cargo, "+nightly", "miri"]
        if _run([*tool, "--version"], template).returncode:
            pytest.skip("no Miri: rustup component add miri --toolchain nightly")
    setup = _run([*tool, "setup", "--target", host], template)
    if setup.returncode:
        pytest.skip(f"Miri cannot be set up here: {setup.stderr[-300:]}")
    command = [*tool, "test", "--offline", "--target", host, "-p", "windows-kernel-rs", "--lib"]
    assert _cargo_test([*command, *_FEATURES], template, str(tmp_path)) >= 20


@pytest.mark.slow
def test_documentation(template: Path, target: str) -> None:
    """No link in it leads nowhere."""
    cargo, host = _host_cargo(template, "version")
    command = [cargo, "doc", "--offline", "--no-deps", "--target", host, "-p", "windows-kernel-rs"]
    command += _FEATURES
    answer = _run(command, template, CARGO_TARGET_DIR=target, RUSTDOCFLAGS="-Dwarnings")
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("lto", ["false", "true"])
@pytest.mark.parametrize("profile", ["dev", "release"])
def test_the_example_builds_with_plain_cargo(
    toolchain: Toolchain, template: Path, target: str, profile: str, lto: str
) -> None:
    """As README.md says, without kernellab's own build."""
    answer = _run(
        [toolchain.cargo, "build", "--offline", "--locked", "--profile", profile],
        template,
        **{f"CARGO_PROFILE_{profile.upper()}_LTO": lto},
        RUSTC=str(toolchain.rustc),
        RUSTFLAGS=f"--sysroot={toolchain.sysroot}" if toolchain.sysroot else "",
        CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER=str(toolchain.linker),
        CARGO_TARGET_DIR=target,
    )
    assert answer.returncode == 0, answer.stderr
    folder = {"dev": "debug"}.get(profile, profile)
    image = Path(target) / "x86_64-pc-windows-msvc" / folder / "driver.dll"
    assert image.read_bytes()[:2] == b"MZ"
    assert image.with_suffix(".pdb").is_file()


def test_no_registry_is_needed_for_drivers(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell is built on a computer without network that never had one: only optional crates
    are the registry's, and those are named to Cargo for the cells that name them."""
    crate = write_crate("hello", "\n" + driver_source('println!("zerocopy");'))
    root = write_plain(crate, tmp_path / "crate")
    assert not crate.template.features
    env = {
        "CARGO_HOME": str(tmp_path / "home"),
        "RUSTC": str(toolchain.rustc),
        "CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_LINKER": str(toolchain.linker),
    }
    if toolchain.sysroot is not None:
        env["CARGO_TARGET_X86_64_PC_WINDOWS_MSVC_RUSTFLAGS"] = f"--sysroot={toolchain.sysroot}"
    answer = _run([toolchain.cargo, "build", "--offline"], root, **env)
    assert answer.returncode == 0, answer.stderr
    # kernellab's own build begins with the template's lock file, which has them all.
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path / "cache"))
    fresh = dataclasses.replace(toolchain)
    assert build(crate, toolchain=fresh).size > 0


def test_a_crate_that_cannot_be_downloaded_is_named(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CARGO_HTTP_PROXY", "127.0.0.1:9")
    (tmp_path / "home").mkdir()
    source = "use zerocopy::IntoBytes as _;\n" + driver_source("")
    with pytest.raises(BuildError, match=r"hello needs zerocopy, which could not be downloaded"):
        build(write_crate("hello", source), toolchain=toolchain)
