"""The committed build of the Jupyter extension is of the committed sources."""

from __future__ import annotations

import json
import re

from tools import labextension

BUILT = labextension.BUILT


def test_built_from_these_sources() -> None:
    """After a change in labextension/: ``make bless``."""
    said = json.loads((BUILT / labextension.RECORD).read_text(encoding="utf-8"))
    assert said == labextension.record()


def test_built_files_are_few_small_and_whole() -> None:
    files = {p.relative_to(BUILT).as_posix(): p for p in BUILT.rglob("*") if p.is_file()}
    package = json.loads(files["package.json"].read_text(encoding="utf-8"))
    assert package["name"] == "kernellab" and package["license"] == "MIT"
    assert package["jupyterlab"]["_build"]["load"] in files
    assert "schemas/kernellab/plugin.json" in files
    assert not [name for name in files if name.endswith(".map")]
    assert sum(path.stat().st_size for path in files.values()) < 150_000
    for name, path in files.items():
        if name.endswith(".js"):
            assert "sourceMappingURL" not in path.read_text(encoding="utf-8")


def test_bundled_code_is_named_with_its_licence() -> None:
    said = json.loads((BUILT / "static" / "third-party-licenses.json").read_text(encoding="utf-8"))
    bundled = {package["name"]: package for package in said["packages"]}
    lock = json.loads((labextension.FOLDER / "package-lock.json").read_text(encoding="utf-8"))
    for name, package in bundled.items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == package["versionInfo"]
        assert package["licenseId"] == "MIT" and "Permission" in package["extractedText"]


def test_lock_file_names_no_registry() -> None:
    text = (labextension.FOLDER / "package-lock.json").read_text(encoding="utf-8")
    assert not re.search(r"https?://[^\"]*\.tgz", text) and '"integrity"' in text
