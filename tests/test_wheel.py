"""The built wheel, in an empty environment: it has the template, and it builds a driver."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from tests.drivers import driver_source
from tests.kernel import Notebook

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return next(folder.glob("*.tar.gz"))


def make_wheel(source: Path, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(folder), str(source)], check=True, timeout=300)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the source distribution, as a registry's users get it."""
    return make_wheel(sdist, tmp_path_factory.mktemp("wheel"))


def test_source_distribution_holds_all_that_a_checkout_has(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    for wanted in ("rust-template/Cargo.lock", "rust-template/.cargo/config.toml", "Makefile"):
        assert wanted in names
    assert "tests/test_wheel.py" in names
    assert not [n for n in names if n.startswith((".venv/", "dist/")) or "/target/x86_64" in n]


def test_a_wheel_from_the_checkout_is_the_same(wheel: Path, tmp_path: Path) -> None:
    other = make_wheel(ROOT, tmp_path)
    assert sorted(zipfile.ZipFile(other).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_wheel_holds_the_template_and_the_panes_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    template = [n for n in names if n.startswith("kernellab/_template/")]
    for wanted in (
        "Cargo.toml",
        "Cargo.lock",
        "rustfmt.toml",
        "driver/Cargo.toml",
        "driver/src/lib.rs",
        "agent/src/main.rs",
        "dbgtap/src/tap.rs",
        "windows-kernel-rs/src/lib.rs",
        "windows-kernel-sys/src/lib.rs",
    ):
        assert f"kernellab/_template/{wanted}" in template
    assert not [n for n in template if "/target/" in n]
    assert [n for n in names if n.startswith("kernellab/pane/static/") and n.endswith(".js")]
    assert "kernellab/py.typed" in names
    assert "kernellab/target/winrm/autounattend.xml" in names
    assert "kernellab/ntdata/layouts.json" in names
    assert "kernellab/_notebooks/01-hello-driver.ipynb" in names


def test_wheel_holds_the_jupyter_extension(wheel: Path) -> None:
    """Where an install puts it into the environment's share/jupyter/labextensions."""
    with zipfile.ZipFile(wheel) as archive:
        held = {
            name.partition(".data/data/")[2]: archive.read(name)
            for name in archive.namelist()
            if ".data/data/share/" in name
        }
    share = ROOT / "labextension" / "share"
    wanted = {
        p.relative_to(share.parent).as_posix(): p.read_bytes()
        for p in share.rglob("*")
        if p.is_file()
    }
    assert held == wanted and "share/jupyter/labextensions/kernellab/package.json" in held


@pytest.mark.slow
def test_install_and_use_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """On the command line, and as a cell in a kernel of that environment."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    programs = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    python = programs / "python"
    subprocess.run([str(python), "-m", "pip", "install", "-q", str(wheel)], check=True, timeout=600)
    extension = tmp_path / "venv" / "share" / "jupyter" / "labextensions" / "kernellab"
    assert (extension / "package.json").is_file()
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
    subprocess.run(
        [str(programs / "kernellab"), "course", "1"], cwd=tmp_path, check=True, timeout=60
    )
    assert (tmp_path / "01-hello-driver.ipynb").is_file()
    book = Notebook(python, cwd=tmp_path)
    try:
        source = driver_source(f'println!("from a wheel at {time.time_ns()}");')
        result = book.run_ok(f"%%rustdriver hello\n{source}")
        assert "from a wheel at" in result.text
        where = book.value("__import__('kernellab').__file__")
        assert Path(where).is_relative_to(tmp_path / "venv")
    finally:
        book.close()
