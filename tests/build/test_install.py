"""``kernellab setup``: what is tried, in which order, and what is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from ssl import SSLCertVerificationError
from urllib.error import URLError

import pytest

from kernellab.build import Toolchain, install, process, setup, sysroot
from kernellab.build.toolchain import TARGET
from kernellab.errors import BuildError, ToolchainError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="programs are made of shell scripts")


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Rust: the one folder on PATH, for programs that write what they got."""
    for name in ("KERNELLAB_RUSTC", "KERNELLAB_LINKER", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "rustup"))
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path / "cache"))
    return folder


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho "$(/usr/bin/basename $0) $@" >> {path.parent}/log\n{body}\n')
    path.chmod(0o755)
    return path


def log(tools: Path) -> list[str]:
    path = tools / "log"
    return path.read_text().splitlines() if path.exists() else []


POLICY = """
rustc:
  Installed: (none)
  Candidate: 1.63.0+dfsg1-2
rust-src:
  Candidate: 1.63.0+dfsg1-2
cargo:
  Candidate: 0.66.0+ds1-1
rustc-web:
  Candidate: 1.96.0+dfsg1-1~deb12u2
cargo-web:
  Candidate: 1.96.0+dfsg1-1~deb12u2
rust-web-src:
  Candidate: 1.96.0+dfsg1-1~deb12u2
lld:
  Candidate: 1:14.0-55.7~deb12u1
lld-19:
  Candidate: 1:19.1.7-3~deb12u1
"""


def test_where_all_is_there_nothing_is_installed(toolchain: Toolchain) -> None:
    said: list[str] = []
    assert setup(lambda done, total, what: said.append(what)) == toolchain
    assert sysroot.is_ready(toolchain)
    assert not any("apt" in what or "rustup" in what for what in said)


def test_debian_12_has_newer_packages_under_other_names(tools: Path) -> None:
    script(tools / "apt-cache", f"echo '{POLICY}'")
    assert install.apt_packages() == ["rustc-web", "cargo-web", "rust-web-src", "lld-19"]


def test_a_newer_debian_has_them_under_their_own(tools: Path) -> None:
    policy = POLICY.replace("1.63.0", "1.85.0")
    script(tools / "apt-cache", f"echo '{policy}'")
    assert install.apt_packages() == ["rustc", "cargo", "rust-src", "lld-19"]


@pytest.mark.parametrize("body", ["exit 1", "echo", "echo 'rustc:\n  Candidate: (none)'"])
def test_without_such_packages(tools: Path, body: str) -> None:
    script(tools / "apt-cache", body)
    assert install.apt_packages() == []


def test_root_installs_the_packages(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tools / "apt-cache", f"echo '{POLICY}'")
    script(tools / "apt-get", "echo 'E: no such luck' >&2; exit 100")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ToolchainError) as caught:
        setup()
    assert "E: no such luck" in str(caught.value)
    options = "-q -o DPkg::Lock::Timeout=120 install -y --no-install-recommends"
    assert f"apt-get {options} rustc-web cargo-web rust-web-src lld-19" in log(tools)


def test_others_are_told_the_command(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tools / "apt-cache", f"echo '{POLICY}'")
    script(tools / "apt-get", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ToolchainError) as caught:
        setup()
    command = "sudo apt-get install -y rustc-web cargo-web rust-web-src lld-19"
    assert command in str(caught.value)
    assert not any(line.startswith("apt-get") for line in log(tools))


def test_rustup_without_network_is_not_waited_for(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSTUP_DIST_SERVER", "http://127.0.0.1:9")
    home = tools.parent / "rustup/toolchains/stable"
    script(tools / "rustup", "exec /bin/sleep 600")
    said = "release: 1.99.0\ncommit-hash: 0\nhost: h"
    script(home / "bin/rustc", f'if [ "$1" = --print ]; then echo {home}; else echo "{said}"; fi')
    with pytest.raises(ToolchainError) as caught:
        setup()
    assert "no network" in str(caught.value)
    assert not any(line.startswith("rustup") for line in log(tools))


def test_rustup_adds_the_target(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_reachable", lambda: True)
    home = tools.parent / "rustup/toolchains/stable"
    library = home / "lib/rustlib" / TARGET / "lib"
    script(tools / "rustup", f"/bin/mkdir -p {library}; : > {library}/libcore-0.rlib")
    said = "release: 1.99.0\ncommit-hash: 0\nhost: h"
    script(home / "bin/rustc", f'if [ "$1" = --print ]; then echo {home}; else echo "{said}"; fi')
    script(home / "bin/cargo", "exit 0")
    script(home / "lib/rustlib/h/bin/rust-lld", "echo LLD 22")
    found = setup()
    assert found.sysroot is None and found.rustc == home / "bin/rustc"
    assert f"rustup target add --toolchain stable {TARGET}" in log(tools)


def toolchain_of_rustup(home: Path, version: str) -> None:
    said = f"release: {version}\ncommit-hash: 0\nhost: h"
    script(home / "bin/rustc", f'if [ "$1" = --print ]; then echo {home}; else echo "{said}"; fi')


def test_rustup_is_told_which_toolchain(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the active one when that is too old, and wherever RUSTUP_HOME lies."""
    monkeypatch.setattr(install, "_reachable", lambda: True)
    monkeypatch.setenv("RUSTUP_HOME", str(tools.parent / "opt"))
    toolchain_of_rustup(tools.parent / "opt/toolchains/1.70.0-h", "1.70.0")
    toolchain_of_rustup(tools.parent / "opt/toolchains/stable-h", "1.99.0")
    script(tools / "rustup", "exit 0")
    with pytest.raises(ToolchainError):
        setup()
    assert f"rustup target add --toolchain stable-h {TARGET}" in log(tools)


def test_rustup_without_a_toolchain(tools: Path) -> None:
    script(tools / "rustup", "exit 1")
    with pytest.raises(ToolchainError, match="rustup toolchain install stable"):
        setup()
    assert log(tools) == []


def test_a_python_without_certificates_is_not_without_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError(error)

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    error: OSError = SSLCertVerificationError(1, "unable to get local issuer certificate")
    assert install._reachable()
    error = ConnectionRefusedError(111, "Connection refused")
    assert not install._reachable()


def test_what_rustup_says_is_passed_on(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_reachable", lambda: True)
    home = tools.parent / "rustup/toolchains/stable"
    script(tools / "rustup", "echo 'error: toolchain is read-only' >&2; exit 1")
    said = "release: 1.99.0\ncommit-hash: 0\nhost: h"
    script(home / "bin/rustc", f'if [ "$1" = --print ]; then echo {home}; else echo "{said}"; fi')
    with pytest.raises(ToolchainError, match="toolchain is read-only"):
        setup()


def test_a_named_compiler_is_not_replaced(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNELLAB_RUSTC", str(script(tools / "old/rustc", "echo release: 1.2.3")))
    script(tools / "apt-cache", f"echo '{POLICY}'")
    script(tools / "apt-get", "exit 0")
    with pytest.raises(ToolchainError, match="needed"):
        setup()
    assert log(tools) == []


def test_a_cache_that_cannot_be_written(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tools.parent / "a file"
    blocked.touch()
    monkeypatch.setenv("KERNELLAB_CACHE", str(blocked))
    with pytest.raises((ToolchainError, BuildError)) as caught:
        setup()
    assert "a file" in str(caught.value) and "KERNELLAB_CACHE" in str(caught.value)


def test_two_at_once(toolchain: Toolchain) -> None:
    code = "from kernellab.build import setup; print(setup().version)"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [each.communicate(timeout=120)[0].strip() for each in both] == [toolchain.version] * 2


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="not Debian or Ubuntu")
def test_this_machines_packages() -> None:
    packages = install.apt_packages()
    answer = process.run(["apt-cache", "policy", *packages], timeout=60)
    assert all(f"{name}:" in answer.stdout for name in packages)
