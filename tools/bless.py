"""``make bless``: regenerate what is generated.

Bindings, ntdata's JSON, the tables in docs, the built Jupyter extension.

``tools/bless.py docs`` does the tables only, which takes a moment and no Rust.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tools import bindings, labextension

ROOT = Path(__file__).parents[1]


_FROM, _TO = "<!-- rules: made by tools/bless.py, kept by a test -->\n", "<!-- end of rules -->\n"


def with_rules(page: str) -> str:
    """docs/simulator.md with the table of verifier rules between its markers."""
    from kernellab.target import registry

    rows = [
        f"| `{rule.name}` | {rule.summary} | {rule.page} |\n"
        for rule in registry.get("sim").rules()
    ]
    head = "| rule | what it finds | after |\n|---|---|---|\n"
    before, rest = page.split(_FROM)
    return before + _FROM + head + "".join(rows) + _TO + rest.split(_TO)[1]


def main(arguments: list[str]) -> int:
    """Write the tables, build the extension, generate the bindings; the generator's exit code."""
    from kernellab import exports

    text = exports.markdown(exports.rows())
    (ROOT / "docs" / "exports.md").write_text(text, encoding="utf-8", newline="\n")
    page = ROOT / "docs" / "simulator.md"
    text = with_rules(page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8", newline="\n")
    if arguments == ["docs"]:
        return 0
    labextension.build()
    manifest = ROOT / bindings.GENERATOR / "Cargo.toml"
    command = ["cargo", "run", "--locked", "--quiet", "--manifest-path", str(manifest)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code == 0:
        bindings.record()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
