"""Each export appears in a test, and ``docs/exports.md`` has all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kernellab.exports
from kernellab.target.sim import exports

ROOT = Path(__file__).parents[4]


def test_each_export_is_named_in_a_test() -> None:
    here = Path(__file__)
    files = (p for p in ROOT.joinpath("tests").rglob("*") if p.suffix in (".py", ".rs", ".c"))
    words = set(
        re.findall(r"\w+", "\n".join(p.read_text(encoding="utf-8") for p in files if p != here))
    )
    untested = [
        f"{name} ({entry.family})"
        for name, entry in exports.table().items()
        if not entry.internal and name not in words
    ]
    assert untested == [], "no test names these exports: write one for each"


@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="not a checkout")
def test_the_table_in_docs_is_current() -> None:
    text = (ROOT / "docs" / "exports.md").read_text(encoding="utf-8")
    current = kernellab.exports.markdown(kernellab.exports.rows())
    assert text == current, "docs/exports.md is not current: run make bless"
