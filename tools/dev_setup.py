"""Install what only tests need beside Python packages: Chromium, rustfmt, rust-analyzer and so on.

On Debian and Ubuntu, as root, missing packages are installed; elsewhere what is missing is
named and the tests that need it are skipped with that reason. Costs nothing when all is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

#: What tests look for, and the Debian package that brings it.
WANTED = {
    "chromium": "chromium",
    "cargo-fmt": "rustfmt-web",
    "cargo-clippy": "rust-web-clippy",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    "clang-19": "clang-19",
    "rust-analyzer": "rust-web-analyzer",
    "osslsigncode": "osslsigncode",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "wine64": "wine64",
}


def main() -> int:
    """Install what is missing where that is possible; always 0, since tests can be skipped."""
    missing = {
        program: package
        for program, package in WANTED.items()
        # The system's own: rustup's shims exist even where the component is missing.
        if not shutil.which(program, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin:/usr/lib/wine")
    }
    # What rust-analyzer reads of Rust's library; it has no program to look for.
    if not any(Path("/usr/src").glob("rustc-*/library/core")):
        missing["Rust's library source"] = "rust-web-src"
    if not missing:
        return 0
    apt = shutil.which("apt-get")
    if apt is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        print(f"Not here: {', '.join(missing)}. Tests that need them will be skipped.")
        return 0
    print(f"Installing {', '.join(missing.values())} for the tests (once) ...", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([apt, "update", "-qq"], env=environment, check=False)
    command = [apt, "install", "-y", "-qq", "--no-install-recommends", *missing.values()]
    result = subprocess.run(
        command, env=environment, check=False, stdin=subprocess.DEVNULL, capture_output=True
    )
    if result.returncode:
        sys.stderr.write(result.stderr.decode(errors="replace")[-2000:])
        print("Could not install them. Tests that need them will be skipped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
