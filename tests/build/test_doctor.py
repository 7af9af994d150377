"""What ``kernellab doctor`` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernellab.build import Check, Toolchain, cache, diagnose


def by_name(checks: list[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_here_all_is_well(toolchain: Toolchain) -> None:
    checks = by_name(diagnose())
    assert [c for c in checks.values() if not c.ok] == []
    for name in ("Python", "unicorn", "symbolic", "unicorn starts", "Rust template", "cache folder",
                 "disk space", "Rust", "Cargo", "Windows library", "linker"):  # fmt: skip
        assert checks[name].found
    assert toolchain.version in checks["Rust"].found


def test_without_rust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KERNELLAB_RUSTC", "KERNELLAB_LINKER", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path))
    rust = by_name(diagnose())["Rust"]
    assert not rust.ok and "rustup target add" in rust.mend


def test_a_compiler_that_will_not_do_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERNELLAB_RUSTC", str(tmp_path / "missing"))
    rust = by_name(diagnose())["Rust"]
    assert not rust.ok and "KERNELLAB_RUSTC" in rust.mend


def test_before_the_sysroot_is_built(
    toolchain: Toolchain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path))
    library = by_name(diagnose())["Windows library"]
    if toolchain.sysroot is None:
        assert library.ok
    else:
        assert not library.ok and "kernellab setup" in library.mend


def test_a_cache_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("KERNELLAB_CACHE", str(blocked))
    check = by_name(diagnose())["cache folder"]
    assert not check.ok and str(blocked) in check.found and "KERNELLAB_CACHE" in check.mend


def test_a_disk_that_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "free_space", lambda: 5 * 2**20)
    check = by_name(diagnose())["disk space"]
    assert not check.ok and check.found == "5 MB free"


def test_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "cache"
    monkeypatch.setenv("KERNELLAB_CACHE", str(root))
    diagnose()
    left = [p for p in root.rglob("*") if p.is_file()]
    assert [p.parent.name for p in left] == ["toolchain"] * len(left)


def test_whether_jupyter_finds_the_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Path(__file__).parents[2] / "labextension" / "share" / "jupyter"
    monkeypatch.setenv("JUPYTER_PATH", str(share))
    check = by_name(diagnose())["Jupyter extension"]
    assert check.ok and check.found == str(share / "labextensions" / "kernellab")
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [str(tmp_path)])
    check = by_name(diagnose())["Jupyter extension"]
    assert check.ok and "not there" in check.found
