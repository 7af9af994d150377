"""Cells that are still being written: what they hold."""

from __future__ import annotations

import pytest

from kernellab.cell.rust_cell import rust_cell


@pytest.mark.parametrize(
    "text", ["", "\n\n", "import os", "%%rustdrivers x\n", "%rustfile x y\n", "x = '%%rustdriver'"]
)
def test_other_cells(text: str) -> None:
    assert rust_cell(text) is None


def test_driver_cells() -> None:
    cell = rust_cell("\n  \n%%rustdriver hello --dep bitflags=2 --dep=log=0.4 --fmt\r\nfn f() {}\n")
    assert cell is not None
    assert (cell.driver, cell.path, cell.above) == ("hello", "", 2)
    assert cell.dependencies == ("bitflags=2", "log=0.4")
    assert cell.text == "\nfn f() {}\n"


def test_file_cells() -> None:
    cell = rust_cell("%%rustfile hello wire/frame.rs\nx")
    assert cell is not None and (cell.driver, cell.path) == ("hello", "wire/frame.rs")
    begun = rust_cell("%%rustfile 'hel\nx")
    assert begun is not None and (begun.driver, begun.path) == ("'hel", "")
    bare = rust_cell("%%rustdriver\nx")
    assert bare is not None and bare.driver == "" and bare.text == "\nx"
