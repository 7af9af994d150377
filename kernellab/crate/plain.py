"""A driver's crate written for plain cargo: to be opened in an editor, kept, and built anywhere.

It lies as Cargo's own do: the source in ``src/lib.rs``, its modules beside it, the framework's
crates as members of the same workspace. What rustc calls the files is mapped to the names that
kernellab's own build gives them, so that both make the same driver.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import tomli_w

from ..errors import UsageError
from .cargo_config import cargo_config
from .crate import Crate

#: Where the source lies.
SOURCE: Final = "src/lib.rs"

_README: Final = """\
# {name}

A Windows kernel driver in Rust, written by kernellab. The driver is in `src/`; the framework it
uses lies beside it (`windows-kernel-rs` over `windows-kernel-sys`), so nothing is missing here.

    kernellab run .              # build it and run it on the simulated kernel
    kernellab build . --release  # {name}.sys
    cargo build --release        # the .dll below target/ is the driver: give it the ending .sys

Plain cargo needs `rustup target add x86_64-pc-windows-msvc`, and says in `.cargo/config.toml`
how a driver is linked.
{more}"""

_MAPPED: Final = """
In messages and call stacks `src/lib.rs` is called `{shown}`, as in the notebook that it comes
from; without `[package.metadata.kernellab]` in Cargo.toml and the mapping in
`.cargo/config.toml` it would have its own name, and the driver other bytes.
"""


def write_plain(crate: Crate, root: Path, *, lock: str = "") -> Path:
    """Write ``crate`` to the folder ``root``, which must not exist yet or be empty.

    ``lock`` is the text of a Cargo.lock with the versions to build with. Returns ``root``.
    Raises UsageError where the folder is in use or cannot be written.
    """
    own = {path: text for path, text in crate.files.items() if path != "Cargo.toml"}
    source = own.pop(crate.file_name)
    shown = "" if crate.file_name == "lib.rs" else crate.file_name
    files = {
        SOURCE: source,
        **{f"src/{path}": text for path, text in own.items()},
        "Cargo.toml": tomli_w.dumps(_manifest(crate, shown)),
        "README.md": _README.format(
            name=crate.name,
            more=_MAPPED.format(shown=shown) if shown else "",
        ),
        ".gitignore": "/target\n",
        ".cargo/config.toml": cargo_config(root, shown or "lib.rs"),
    }
    # With crates of the registry: the versions that the framework was tested with.
    lock = lock or (crate.template.lock if crate.template.features else "")
    if lock:
        files["Cargo.lock"] = lock
    try:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise UsageError(f"{root} is there already and not an empty folder: nothing is written")
        for path, text in files.items():
            _write(root / path, text.encode())
        for path, content in crate.template.files():
            _write(root / path, content)
    except OSError as error:
        raise UsageError(f"cannot write the crate to {root}: {error.strerror}") from error
    return root


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _manifest(crate: Crate, shown: str) -> dict[str, Any]:
    manifest = tomllib.loads(crate.files["Cargo.toml"])
    manifest["lib"]["path"] = SOURCE
    if shown:
        # What kernellab's own build of this folder calls the source.
        manifest["package"]["metadata"] = {"kernellab": {"source": shown}}
    return manifest
