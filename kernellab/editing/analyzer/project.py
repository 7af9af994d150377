"""Which crates there are: what rust-analyzer is told in place of a ``Cargo.toml``.

(rust-analyzer's book, "Non-Cargo Based Projects".) The crates are known, so nothing has to be
asked of Cargo. Each driver of the notebook gets one of a few prepared crates whose source file
is empty on disk: its text exists in memory only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

#: A driver's own source within its folder. No module can have this name: it is a keyword.
ROOT_FILE: Final = "crate.rs"

#: What of the library a driver can use, with what each depends on.
_LIBRARY: Final[Mapping[str, Sequence[str]]] = {"core": (), "alloc": ("core",)}


@dataclass(frozen=True, slots=True)
class Package:
    """A crate beside the drivers: its name in Rust, its root file, what it depends on.

    ``dependencies`` are crate names as the source says them, to the ``identity`` of others.
    """

    identity: str
    name: str
    root: Path
    edition: str = "2024"
    features: Sequence[str] = ()
    dependencies: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """What there is to analyze.

    ``folder`` is where the drivers' empty files lie, ``slots`` how many drivers are known at
    once; ``library`` the folder with ``core`` and ``alloc``, if the source is here; ``packages``
    the framework and registry crates, and ``direct`` what a driver itself can name, to identities.
    """

    folder: Path
    packages: Sequence[Package]
    direct: Mapping[str, str]
    library: Path | None = None
    home: Path | None = None
    slots: int = 12
    edition: str = "2024"

    def root(self, slot: int) -> Path:
        """The source file of the driver in ``slot``."""
        return self.folder / str(slot) / ROOT_FILE

    def lay_out(self) -> None:
        """Make the empty files; raises OSError."""
        for slot in range(self.slots):
            path = self.root(slot)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file():
                path.touch()

    def project(self) -> dict[str, Any]:
        """As ``rust-project.json`` has it."""
        crates: list[dict[str, Any]] = []
        index = {package.identity: number for number, package in enumerate(self.packages)}
        for package in self.packages:
            crates.append(
                _crate(
                    package.name,
                    package.root,
                    package.edition,
                    {
                        alias: index[identity]
                        for alias, identity in package.dependencies.items()
                        if identity in index
                    },
                    package.features,
                    member=False,
                )
            )
        own = {name: index[identity] for name, identity in self.direct.items()}
        for slot in range(self.slots):
            root = self.root(slot)
            crates.append(_crate(f"driver{slot}", root, self.edition, own, (), member=True))
        project: dict[str, Any] = {"crates": crates}
        if self.home is not None:
            project["sysroot"] = str(self.home)
        if self.library is not None:
            project["sysroot_src"] = str(self.library)
            project["sysroot_project"] = {"crates": _library_crates(self.library)}
        return project


def _library_crates(library: Path) -> list[dict[str, Any]]:
    names = list(_LIBRARY)
    return [
        _crate(
            name,
            library / name / "src" / "lib.rs",
            "2024",
            {each: names.index(each) for each in needed},
            (),
            member=False,
        )
        for name, needed in _LIBRARY.items()
    ]


def _crate(
    name: str,
    root: Path,
    edition: str,
    dependencies: Mapping[str, int],
    features: Sequence[str],
    *,
    member: bool,
) -> dict[str, Any]:
    return {
        "display_name": name,
        "root_module": str(root),
        "edition": edition,
        "deps": [{"crate": number, "name": alias} for alias, number in dependencies.items()],
        "is_workspace_member": member,
        "source": {"include_dirs": [str(root.parent)], "exclude_dirs": []},
        "cfg": [*TARGET_CFG, *(f'feature="{feature}"' for feature in features)],
        "target": "x86_64-pc-windows-msvc",
        "env": {},
        "is_proc_macro": False,
    }


#: ``rustc --print cfg --target x86_64-pc-windows-msvc -Cpanic=abort``, what sources ask for.
TARGET_CFG: Final = (
    "debug_assertions",
    'panic="abort"',
    'target_abi=""',
    'target_arch="x86_64"',
    'target_endian="little"',
    'target_env="msvc"',
    'target_family="windows"',
    'target_feature="fxsr"',
    'target_feature="sse"',
    'target_feature="sse2"',
    *(f'target_has_atomic="{width}"' for width in ("8", "16", "32", "64", "ptr")),
    'target_os="windows"',
    'target_pointer_width="64"',
    'target_vendor="pc"',
    "windows",
)
