"""What plain cargo is told in a written crate: the target, the linker and kernellab's own flags.

A build script could pass the linker's flags too, but to have one changes what rustc calls the
crate's symbols, and with that the driver's bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import tomli_w

_TARGET: Final = "x86_64-pc-windows-msvc"

#: The flags of kernellab's own builds, from :mod:`kernellab.build.workspace`.
_FLAGS: Final = (
    "-Clink-arg=/NODEFAULTLIB",
    "-Clink-arg=/SUBSYSTEM:NATIVE",
    "-Clink-arg=/DRIVER",
    "-Clink-arg=/ENTRY:DriverEntry",
    "-Clink-arg=/Brepro",
    "-Clink-arg=/RELEASE",
    "-Ccollapse-macro-debuginfo=yes",
)

_HEAD: Final = f"""\
# For plain cargo: `cargo build --release` in this folder makes a .dll below target/, which is
# the driver: give it the ending .sys. Needs `rustup target add {_TARGET}`.
# RUSTFLAGS in the environment would replace the flags here;
# CARGO_TARGET_{_TARGET.upper().replace("-", "_")}_RUSTFLAGS adds to them.
# --remap-path-prefix keeps the names of these folders out of the driver; elsewhere, name yours.
"""


def cargo_config(root: Path, shown: str) -> str:
    """The text of ``.cargo/config.toml`` for a crate that is written to ``root``.

    ``shown`` is what messages and symbols call the crate's ``src/lib.rs``.
    """
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    remapped: tuple[str, ...] = (
        f"{home / 'registry' / 'src'}=registry",
        f"{root.resolve()}=",
        "src/=",
    )
    if shown != "lib.rs":
        remapped += (f"src/lib.rs={shown}",)
    flags = [*_FLAGS, *(f"--remap-path-prefix={each}" for each in remapped)]
    table = {
        "build": {"target": _TARGET},
        "target": {_TARGET: {"linker": "rust-lld", "rustflags": flags}},
    }
    return f"{_HEAD}\n{tomli_w.dumps(table)}"
