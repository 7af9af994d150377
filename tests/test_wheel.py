"""The built wheel, in an empty environment: it has the template, and it builds a driver."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.drivers import driver_source

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True, timeout=300)
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_template_and_the_panes_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    template = [n for n in names if n.startswith("kernellab/_template/")]
    for wanted in (
        "Cargo.toml",
        "Cargo.lock",
        "driver/Cargo.toml",
        "driver/src/lib.rs",
        "windows-kernel-rs/src/lib.rs",
        "windows-kernel-sys/src/lib.rs",
    ):
        assert f"kernellab/_template/{wanted}" in template
    assert not [n for n in template if "/target/" in n]
    assert [n for n in names if n.startswith("kernellab/pane/static/") and n.endswith(".js")]
    assert "kernellab/py.typed" in names
    assert "kernellab/ntdata/layouts.json" in names


@pytest.mark.slow
def test_install_and_use_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    programs = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    python = programs / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", str(wheel)], check=True, timeout=600)
    (tmp_path / "hello.rs").write_text(driver_source('println!("from a wheel");'))
    done = subprocess.run(
        [str(programs / "kernellab"), "run", "hello.rs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("from a wheel\nbye\n", 0), done.stderr
