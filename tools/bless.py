"""``make bless``: regenerate what is generated: bindings, ntdata's JSON, the table of exports.

``tools/bless.py docs`` does the table only, which takes a moment and no Rust.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(arguments: list[str]) -> int:
    """Write the table, and run the generator of bindings in the checkout; its exit code."""
    from kernellab import exports

    text = exports.markdown(exports.rows())
    (ROOT / "docs" / "exports.md").write_text(text, encoding="utf-8", newline="\n")
    if arguments == ["docs"]:
        return 0
    manifest = ROOT / "rust-template" / "tools" / "bindgen" / "Cargo.toml"
    command = ["cargo", "run", "--quiet", "--manifest-path", str(manifest)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
