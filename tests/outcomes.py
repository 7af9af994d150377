"""One executed notebook that holds each way a cell can end: for exports, and saved notebooks."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.drivers import driver_source

#: What a driver that means harm prints; the parts that would act in a page or as Markdown.
EVIL = (
    r"<script>alert(1)</script><b>bold</b> \x1b[31mred \u{202e}evil\u{200b}x\n"
    r"\n"
    r"# no heading ![x](https://example.com/x.png) `code` | *a*"
)


def _cell(name: str, body: str, options: str = "", extra: str = "") -> str:
    return f"%%rustdriver {name} --allow-failure {options}\n{driver_source(body, extra=extra)}"


_ALLOC = "extern crate alloc;\n"
_SUM = "#[inline(never)]\nfn total(a: u32, b: u32) -> u32 {\n    a.wrapping_mul(b) ^ 7\n}\n"
_LEAK = "core::mem::forget(core::hint::black_box(alloc::vec![1u8; 40]));"
_NULL = 'println!("about to read");\n        unsafe { core::ptr::null::<u32>().read_volatile() };'

#: Cells, by a word that names each.
CELLS = {
    "load": "%load_ext kernellab",
    "hello": _cell("hello", 'println!("hello from {}", "the kernel");'),
    "typo": _cell("typo", 'printnl!("hello");'),
    "check": "%rustcheck typo",
    "leaky": _cell("leaky", _LEAK, extra=_ALLOC),
    "unload": "leaky.unload()",
    "null": _cell("null", _NULL),
    "chatty": _cell("chatty", 'for n in 0..9000 { println!("line {n} of many"); }'),
    "traced": _cell("traced", 'println!("traced");', "--trace"),
    "listed": _cell(
        "listed", 'println!("{}", total(core::hint::black_box(6), 7));', "--asm total", _SUM
    ),
    "driver": "listed",
    "evil": _cell("evil", f'println!("{EVIL}");'),
}


def executed(folder: Path) -> nbformat.NotebookNode:
    """The cells in a notebook, run in a kernel of their own whose folder is ``folder``."""
    made = nbformat.v4.new_notebook()
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    made.cells = [nbformat.v4.new_code_cell(each) for each in CELLS.values()]
    NotebookClient(made, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    return made  # type: ignore[no-any-return]


def output(notebook: nbformat.NotebookNode, name: str, kind: str) -> str:
    """All that the cell ``name`` shows as ``kind``, such as ``text/html``."""
    cell = notebook.cells[list(CELLS).index(name)]
    return "\n".join(each.data[kind] for each in cell.outputs if kind in each.get("data", {}))
