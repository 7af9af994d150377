"""Which rust-analyzer is found, and how one is installed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kernellab.build import Toolchain, analyzer, find_analyzer, find_toolchain, install, process
from kernellab.build.doctor import diagnose
from kernellab.errors import ToolchainError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs are made of shell scripts")


@pytest.fixture(autouse=True)
def none_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERNELLAB_RUST_ANALYZER", raising=False)


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any; the one folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    return folder


def test_none(empty: Path) -> None:
    with pytest.raises(ToolchainError, match="kernellab setup --rust-analyzer"):
        find_analyzer(None)


def test_a_shim_without_the_component_is_none(empty: Path) -> None:
    program(empty / "rust-analyzer", "echo 'error: unknown binary' >&2; exit 1")
    with pytest.raises(ToolchainError, match="is not installed"):
        find_analyzer(None)
    behind = program(
        empty.parent / "rustup" / "toolchains" / "stable" / "bin" / "rust-analyzer",
        "echo rust-analyzer 1.90.0",
    )
    found = find_analyzer(None)
    assert (found.program, found.version) == (behind, "1.90.0")


def test_one_that_is_named(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(empty / "other", "echo rust-analyzer 0.3.2000-standalone")
    monkeypatch.setenv("KERNELLAB_RUST_ANALYZER", "other")
    assert find_analyzer(None).program == named
    monkeypatch.setenv("KERNELLAB_RUST_ANALYZER", "missing")
    with pytest.raises(ToolchainError, match="KERNELLAB_RUST_ANALYZER names missing"):
        find_analyzer(None)


def test_the_doctor_says_it(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("KERNELLAB_RUST_ANALYZER", str(program(empty / "ra", "exit 1")))
    (check,) = [each for each in diagnose() if each.name == "rust-analyzer"]
    assert check.ok and "is not installed" in check.found and "setup --rust-analyzer" in check.found


@pytest.fixture
def toolchain() -> Toolchain:
    return find_toolchain()


def test_setup_asks_rustup_and_then_apt(
    toolchain: Toolchain, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], **_: object) -> process.Completed:
        asked.append([str(word) for word in arguments])
        if "policy" in arguments:
            found = "".join(f"{name}:\n  Candidate: 1.96.0\n" for name in arguments[2:])
            return process.Completed(0, found, "")
        raise subprocess.TimeoutExpired(arguments, 1)

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(analyzer, "rustup_homes", lambda: [toolchain.home])
    monkeypatch.setattr(install, "_reachable", lambda: True)
    for name in ("rustup", "apt-get", "apt-cache"):
        program(empty / name, "")
    monkeypatch.setattr(install.sys, "platform", "linux")  # type: ignore[attr-defined]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ToolchainError, match="rust-analyzer is not installed") as error:
        analyzer.setup_analyzer(toolchain)
    assert "did not work" in str(error.value)
    (added,) = [words for words in asked if "component" in words]
    assert added[-2:] == ["rust-analyzer", "rust-src"]
    (installed,) = [words for words in asked if "install" in words]
    # Debian's own rustup would be taken away for it.
    assert "--no-remove" in installed
    assert installed[-2:] == ["rust-web-analyzer", "rust-web-src"]
