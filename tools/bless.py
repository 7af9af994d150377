"""``make bless``: regenerate what is generated: the Rust bindings, and ntdata's JSON from them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run the generator in the checkout; its exit code."""
    manifest = ROOT / "rust-template" / "tools" / "bindgen" / "Cargo.toml"
    command = ["cargo", "run", "--quiet", "--manifest-path", str(manifest)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
