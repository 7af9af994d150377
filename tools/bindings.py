"""The generated bindings and ntdata: whether they are what the generator makes.

The generator takes minutes to compile. ``generated.json`` beside it keeps a digest of all that it
is made from and of all that it made, so that a look at files tells; ``make bless`` writes it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
GENERATOR: Final = Path("rust-template/tools/bindgen")
RECORD: Final = ROOT / GENERATOR / "generated.json"
_SYS: Final = Path("rust-template/windows-kernel-sys/src")
_DATA: Final = Path("kernellab/ntdata")


def files(root: Path = ROOT) -> tuple[list[Path], list[Path]]:
    """What the generator is made from, and what it makes."""
    sources = sorted((root / GENERATOR / "src").glob("*.rs"))
    sources += [root / GENERATOR / name for name in ("Cargo.toml", "Cargo.lock")]
    sources.append(root / _SYS / "inline" / "constants.rs")
    made = [root / _SYS / name for name in ("base.rs", "ntoskrnl.rs")]
    return sources, made + sorted((root / _DATA).glob("*.json"))


def state(root: Path = ROOT) -> dict[str, str]:
    """A digest of either."""
    sources, made = files(root)
    return {"from": _digest(sources, root), "made": _digest(made, root)}


def record() -> None:
    """Keep the state as the one that the generator left."""
    RECORD.write_text(json.dumps(state(), indent=1) + "\n", encoding="utf-8", newline="\n")


def recorded(root: Path = ROOT) -> bool:
    """Whether nothing has changed since the generator ran."""
    known: object = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else None
    return known == state(root)


def _digest(paths: list[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        # Newlines as in the repository, whatever a checkout made of them.
        text = path.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{path.relative_to(root).as_posix()} {len(text)}\n".encode() + text)
    return digest.hexdigest()
