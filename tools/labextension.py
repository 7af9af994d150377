"""The extension of JupyterLab and Notebook in ``labextension/``, built to what the wheel holds.

``tools/labextension.py`` (a part of ``make bless``) needs Node.js with npm, and asks npm's registry
for what the lock file names. A wheel is made without it: the built files are committed, and
``built.json`` beside them says from which sources, which a test compares.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "labextension"
#: What goes to the environment's share/jupyter/labextensions.
BUILT = FOLDER / "share" / "jupyter" / "labextensions" / "kernellab"
RECORD = "built.json"
_SOURCES = ("package.json", "package-lock.json", "core", "schema", "src", "webpack.config.js")
_BUILDER = Path("node_modules", "@jupyterlab", "builder", "lib", "build-labextension.js")


def digest(paths: Iterable[Path], base: Path) -> str:
    """SHA-256 over the names below ``base`` and the contents of ``paths``, in order of name."""
    total = hashlib.sha256()
    for name, path in sorted((path.relative_to(base).as_posix(), path) for path in paths):
        content = path.read_bytes().replace(b"\r\n", b"\n")
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def sources() -> str:
    """The digest of what the extension is built from."""
    files: list[Path] = []
    for name in _SOURCES:
        path = FOLDER / name
        files += [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return digest(files, FOLDER)


def built() -> str:
    """The digest of the built files."""
    return digest((p for p in BUILT.rglob("*") if p.is_file() and p.name != RECORD), BUILT)


def record() -> dict[str, str]:
    """What :data:`RECORD` is to say of the files as they are."""
    return {"sources": sources(), "built": built()}


def build() -> None:
    """Build in a private folder, then put the result in its place."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise SystemExit("The Jupyter extension is built with Node.js and npm: install them first.")
    with tempfile.TemporaryDirectory(prefix="kernellab-labextension-") as name:
        work = Path(name) / "labextension"
        shutil.copytree(FOLDER, work, ignore=shutil.ignore_patterns("node_modules", "share"))
        subprocess.run([npm, "ci", "--silent"], cwd=work, check=True)
        command = [node, str(work / _BUILDER), "--core-path", str(work / "core"), str(work)]
        subprocess.run(command, cwd=work, check=True, capture_output=True)
        shutil.rmtree(BUILT, ignore_errors=True)
        shutil.copytree(work / BUILT.relative_to(FOLDER), BUILT)
    text = json.dumps(record(), indent=2) + "\n"
    (BUILT / RECORD).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    build()
    sys.exit(0)
