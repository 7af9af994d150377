"""What to tell a user who has no Rust that can build drivers, in one screen."""

from __future__ import annotations

from collections.abc import Sequence

_TEXT = """\
kernellab found no Rust that can build Windows drivers. One of these brings it
(then run `kernellab setup` again):

  rustup, on any system         rustup target add x86_64-pc-windows-msvc
                                (rustup itself: https://rustup.rs)
  Debian 12                     sudo apt-get install rustc-web cargo-web rust-web-src lld-19
  Debian 13, Ubuntu             sudo apt-get install rustc cargo rust-src lld   (if 1.85 or newer)
  Fedora                        sudo dnf install rust cargo rust-src lld
  Arch Linux                    sudo pacman -S rust rust-src lld
  macOS                         brew install rustup && "$(brew --prefix rustup)"/bin/rustup \\
                                toolchain install stable -t x86_64-pc-windows-msvc
  Windows                       winget install Rustlang.Rustup   (the MSVC toolchain;
                                Visual Studio is not needed for drivers)
  conda, on any system          conda env create -f environment.yml   (or, in an environment:
                                conda install -c conda-forge rust
                                rust-std-x86_64-pc-windows-msvc lld)

A compiler elsewhere is named in KERNELLAB_RUSTC, a linker (lld-link) in KERNELLAB_LINKER."""


def install_advice(objections: Sequence[str] = ()) -> str:
    """The whole text; ``objections`` say of each compiler found why it will not do."""
    if not objections:
        return _TEXT
    looked = "\n".join(f"  {line}" for line in objections[:6])
    return f"{_TEXT}\n\nLooked at:\n{looked}"
