"""Source and template become a crate, and no line moves."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from kernellab.crate import (
    load_template,
    sample_crate,
    template_root,
    validate_name,
    write_crate,
    write_plain,
)
from kernellab.errors import BuildError, UsageError

CELL = "\nuse windows_kernel_rs::println;\nfn x() {}\n"


def test_lines_are_the_cells_own(template: Path) -> None:
    crate = write_crate("hello", CELL, template=template)
    written = crate.files["cell"]
    assert written == "#![no_std]" + CELL
    assert crate.supplied == len("#![no_std]")


def test_own_attributes_are_not_doubled(template: Path) -> None:
    source = "// a driver\n#![no_std]\nuse windows_kernel_rs as _;\n"
    crate = write_crate("hello", source, file_name="hello.rs", template=template)
    assert crate.files["hello.rs"] == source
    assert crate.supplied == 0


def test_the_framework_is_linked_where_the_source_never_names_it(template: Path) -> None:
    crate = write_crate("hello", "\nfn x() {}", template=template)
    assert crate.files["cell"].splitlines()[:2] == ["#![no_std]", "fn x() {}"]
    assert "extern crate windows_kernel_rs as _;" in crate.files["cell"]


def test_a_panic_handler_of_its_own_is_linked_with_the_bindings_only(template: Path) -> None:
    source = "\n#[panic_handler] fn p(_: &core::panic::PanicInfo) -> ! { loop {} }"
    written = write_crate("hello", source, template=template).files["cell"]
    assert written == f"#![no_std]{source}\nextern crate windows_kernel_sys as _;\n"


def test_a_byte_order_mark_is_dropped(template: Path) -> None:
    crate = write_crate("hello", "\ufeff" + CELL, template=template)
    assert crate.files["cell"] == "#![no_std]" + CELL


def test_windows_line_ends_and_odd_text_are_kept(template: Path, tmp_path: Path) -> None:
    source = CELL.replace("\n", "\r\n") + "// \u2028 \x0c ü\r\n"
    root = tmp_path / "out"
    crate = write_crate("hello", source, template=template)
    assert write_plain(crate, root) == root
    assert (root / "src" / "lib.rs").read_bytes() == ("#![no_std]" + source).encode()


def test_the_manifest(template: Path) -> None:
    crate = write_crate(
        "my-driver",
        CELL,
        file_name='odd "name".rs'.replace('"', "'"),
        dependencies={"bitflags": "2", "a": {"version": "1", "features": ["x"]}},
        template=template,
    )
    manifest = tomllib.loads(crate.files["Cargo.toml"])
    assert manifest["package"]["name"] == "my-driver"
    assert manifest["package"]["edition"] == "2024"
    assert manifest["package"]["build"] is False
    assert manifest["lib"]["path"] == "odd 'name'.rs"
    assert manifest["lib"]["crate-type"] == ["cdylib"]
    assert manifest["dependencies"] == {
        "windows-kernel-rs": {"path": "windows-kernel-rs"},
        "bitflags": "2",
        "a": {"version": "1", "features": ["x"]},
    }
    workspace = manifest["workspace"]
    assert workspace["members"] == ["windows-kernel-rs", "windows-kernel-sys"]
    assert "default-members" not in workspace
    assert workspace["lints"]["rust"]["missing_docs"] == "deny"
    assert manifest["profile"]["dev"] == {"opt-level": 1, "panic": "abort"}
    assert manifest["profile"]["release"]["panic"] == "abort"
    assert "lints" not in manifest


def test_members_come_without_tests_and_their_crates(template: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    write_plain(write_crate("hello", CELL, template=template), root)
    manifest = tomllib.loads((root / "windows-kernel-rs" / "Cargo.toml").read_text())
    assert "dev-dependencies" not in manifest
    assert manifest["dependencies"] == {"windows-kernel-sys": {"workspace": True}}
    assert manifest["features"] == {"zerocopy": [], "log": []}
    files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    assert files == {
        ".cargo/config.toml",
        ".gitignore",
        "Cargo.toml",
        "README.md",
        "src/lib.rs",
        "windows-kernel-rs/Cargo.toml",
        "windows-kernel-rs/src/lib.rs",
        "windows-kernel-sys/Cargo.toml",
        "windows-kernel-sys/src/lib.rs",
        "windows-kernel-sys/src/deep/er.rs",
    }


USES_ZEROCOPY = CELL + "use zerocopy::IntoBytes;\n"


def test_what_a_source_names_becomes_a_feature(template: Path, tmp_path: Path) -> None:
    crate = write_crate("hello", USES_ZEROCOPY, template=template)
    write_plain(crate, tmp_path / "out")
    manifest = tomllib.loads(crate.files["Cargo.toml"])
    assert manifest["dependencies"] == {
        "windows-kernel-rs": {"path": "windows-kernel-rs", "features": ["zerocopy"]},
        "zerocopy": {"version": "0.8", "features": ["derive"]},
    }
    assert list(crate.dependencies) == ["zerocopy"]
    member = tomllib.loads((tmp_path / "out/windows-kernel-rs/Cargo.toml").read_text())
    assert set(member["dependencies"]) == {"windows-kernel-sys", "zerocopy"}
    assert member["features"] == {"zerocopy": ["dep:zerocopy"], "log": []}
    assert (tmp_path / "out/Cargo.lock").read_text() == "version = 4\n"
    plain = write_crate("hello", CELL, template=template)
    assert plain.template.digest != crate.template.digest
    assert plain.dependencies == {}


def test_a_version_of_the_users_own_goes_before(template: Path) -> None:
    for source in (CELL, USES_ZEROCOPY):
        crate = write_crate("hello", source, dependencies={"zerocopy": "=0.8.1"}, template=template)
        manifest = tomllib.loads(crate.files["Cargo.toml"])
        assert manifest["dependencies"]["zerocopy"] == "=0.8.1"
        assert manifest["dependencies"]["windows-kernel-rs"]["features"] == ["zerocopy"]


@pytest.mark.parametrize("name", ["windows-kernel-rs", "hello"])
def test_a_dependency_cannot_take_a_name_that_is_taken(template: Path, name: str) -> None:
    with pytest.raises(UsageError, match="taken"):
        write_crate("hello", CELL, dependencies={name: "1"}, template=template)


@pytest.mark.parametrize(
    "name", ["", "x.txt", "../x.rs", "a/b.rs", "a\\b.rs", "x\n.rs", "Cargo.toml"]
)
def test_file_names_that_cannot_be_used(template: Path, name: str) -> None:
    with pytest.raises(UsageError, match="source's name"):
        write_crate("hello", CELL, file_name=name, template=template)


def test_half_a_surrogate_pair_is_named_with_its_line(template: Path) -> None:
    with pytest.raises(UsageError, match="line 3"):
        write_crate("hello", "\n\n// \ud800\n", template=template)


def test_names_are_checked(template: Path) -> None:
    with pytest.raises(UsageError):
        write_crate("../hello", CELL, template=template)


def test_the_key_follows_everything_that_matters(template: Path) -> None:
    def key(name: str = "hello", source: str = CELL, **more: object) -> str:
        return write_crate(name, source, template=template, **more).key  # type: ignore[arg-type]

    same = key()
    assert same == key()
    others = {
        key("other"),
        key(source=CELL + " "),
        key(file_name="x.rs"),
        key(dependencies={"a": "1"}),
    }
    (template / "windows-kernel-sys" / "src" / "lib.rs").write_text("#![no_std]\n//! changed\n")
    others.add(key())
    assert len(others) == 5
    assert same not in others


def test_tests_of_the_framework_do_not_change_the_key(template: Path) -> None:
    before = load_template(template).digest
    (template / "windows-kernel-rs" / "tests" / "ui.rs").write_text("fn main() { }\n")
    (template / "agent" / "Cargo.toml").write_text("[package]\nname = 'other'\n")
    assert load_template(template).digest == before


def test_a_damaged_template_is_a_build_error(template: Path) -> None:
    (template / "windows-kernel-rs" / "Cargo.toml").write_text("not toml")
    with pytest.raises(BuildError, match="template"):
        write_crate("hello", CELL, template=template)


def test_a_missing_template_is_a_build_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="template"):
        write_crate("hello", CELL, template=tmp_path / "nowhere")


def test_the_sample_is_the_templates_driver(template: Path) -> None:
    crate = sample_crate(template)
    assert validate_name(crate.name) == crate.name
    assert crate.files["lib.rs"] == (template / "driver" / "src" / "lib.rs").read_text()


def test_the_packages_own_template_is_there() -> None:
    assert (template_root() / "driver" / "Cargo.toml").is_file()
