"""A small template of its own: what these tests look at does not need a compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

FILES = {
    "Cargo.toml": """
[workspace]
resolver = "3"
members = ["windows-kernel-sys", "windows-kernel-rs", "driver", "agent"]
default-members = ["driver"]
[workspace.package]
edition = "2024"
[workspace.dependencies]
windows-kernel-sys = { path = "windows-kernel-sys" }
[workspace.lints.rust]
missing_docs = "deny"
[profile.dev]
opt-level = 1
""",
    "Cargo.lock": "version = 4\n",
    "driver/Cargo.toml": """
[package]
name = "driver"
edition.workspace = true
[lib]
crate-type = ["cdylib"]
[dependencies]
windows-kernel-rs = { path = "../windows-kernel-rs" }
""",
    "driver/src/lib.rs": "#![no_std]\n//! The template's driver.\nwindows_kernel_rs::nothing!();\n",
    "windows-kernel-rs/Cargo.toml": """
[package]
name = "windows-kernel-rs"
edition.workspace = true
[dependencies]
windows-kernel-sys.workspace = true
zerocopy = { version = "0.8", features = ["derive"], optional = true }
log = { version = "0.4", optional = true }
[features]
zerocopy = ["dep:zerocopy"]
log = ["dep:log"]
[dev-dependencies]
trybuild = "1"
[lints]
workspace = true
""",
    "windows-kernel-rs/src/lib.rs": "#![no_std]\n",
    "windows-kernel-rs/tests/ui.rs": "fn main() {}\n",
    "windows-kernel-sys/Cargo.toml": """
[package]
name = "windows-kernel-sys"
edition.workspace = true
""",
    "windows-kernel-sys/src/lib.rs": "#![no_std]\n",
    "windows-kernel-sys/src/deep/er.rs": "",
    "agent/Cargo.toml": "[package]\nname = 'agent'\n",
}


@pytest.fixture
def template(tmp_path: Path) -> Path:
    root = tmp_path / "template"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
