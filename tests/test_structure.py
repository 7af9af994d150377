"""The project's shape, kept by a script: which way imports point, and who may use what."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernellab

PACKAGE = Path(kernellab.__file__).parent
STAGES = {"cell", "crate", "build", "target", "stream", "pane"}
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "_template" not in p.parts)

#: Third-party packages and the one place each may be imported in (a prefix of the module).
CONFINED = {
    "IPython": ("cell.",),
    "anywidget": ("pane.",),
    "ipywidgets": ("pane.",),
    "unicorn": ("target.sim.machine.", "build.doctor"),
    "winrm": ("target.",),
}


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Each import as an absolute dotted name, and whether it is for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["kernellab", *path.relative_to(PACKAGE).parent.parts]
    typing_only: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            typing_only.update(n for child in node.body for n in ast.walk(child))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in typing_only
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                stem = ".".join([*base, *([node.module] if node.module else [])])
            else:
                stem = node.module or ""
            for alias in node.names:
                yield f"{stem}.{alias.name}", node in typing_only


def ours(path: Path) -> set[str]:
    """What of kernellab a module imports at run time, as top-level names within the package."""
    return {
        name.split(".")[1]
        for name, typing_only in imports(path)
        if name.startswith("kernellab.") and not typing_only
    }


@pytest.mark.parametrize("name", ["errors", "protocol", "tracefile"])
def test_errors_and_protocol_import_nothing_of_ours(name: str) -> None:
    assert ours(PACKAGE / f"{name}.py") == set()


@pytest.mark.parametrize(
    "path", [m for m in MODULES if dotted(m).split(".")[0] in STAGES], ids=dotted
)
def test_stages_do_not_import_each_other(path: Path) -> None:
    stage = dotted(path).split(".")[0]
    allowed = {stage, "errors", "protocol", "prints", "tracefile", "ntdata", "__version__"}
    assert ours(path) <= allowed


#: Folders that join stages, the modules of ours they may import, and those that may import them.
JOINTS = {
    "inspect": ({"driver", "errors", "exports", "pane"}, {"driver", "view"}),
    "view": (
        {"cell", "driver", "editing", "errors", "inspect", "pane"}
        | {"prints", "protocol", "snapshot", "target"},
        {"cellrun", "workbench"},
    ),
}


@pytest.mark.parametrize("joint", JOINTS)
def test_asking_a_driver_and_showing_it_are_joined_in_one_direction(joint: str) -> None:
    """``view`` asks through ``inspect``; what a driver is asked with knows no run of a cell."""
    uses, used_by = JOINTS[joint]
    inside = {m for m in MODULES if dotted(m).split(".")[0] == joint}
    assert set().union(*map(ours, inside)) <= uses | {joint}
    outside = {dotted(m).split(".")[0] for m in set(MODULES) - inside if joint in ours(m)}
    assert outside <= used_by


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_outside_packages_stay_where_they_belong(path: Path) -> None:
    name = dotted(path)
    for imported, _ in imports(path):
        places = CONFINED.get(imported.split(".")[0])
        assert places is None or name.startswith(places), f"{imported} in {name}"


@pytest.mark.parametrize(
    "path", [m for m in MODULES if dotted(m).startswith("target.sim.")], ids=dotted
)
def test_inside_the_simulator_imports_point_one_way(path: Path) -> None:
    """``exports`` uses ``kernel``, ``kernel`` uses ``machine``; rules only listen to events."""
    layer = {"machine": 0, "kernel": 1, "exports": 2, "verify": 2}
    parts = dotted(path).split(".")
    mine = layer.get(parts[2])
    if mine is None:
        return
    for imported, typing_only in imports(path):
        if imported.startswith("kernellab.target.sim.") and not typing_only:
            other = imported.split(".")[3]
            if other in layer and other != parts[2]:
                assert layer[other] < mine, f"{imported} in {'.'.join(parts)}"


@pytest.mark.parametrize(
    "path",
    [m for m in MODULES if dotted(m).startswith(("target.sim.kernel.", "target.sim.exports."))],
    ids=dotted,
)
def test_the_simulated_kernel_knows_no_verifier_rule(path: Path) -> None:
    """It says what happens (``k.tell``); rules listen, and only they have names."""
    from kernellab.target.sim.verify import table

    names = {rule.name for rule in table()}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "tell"
        and node.args
    }
    known = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in names and id(node) not in told
    ]
    assert known == []


def test_no_module_has_grown_out_of_hand() -> None:
    long = {
        dotted(m): lines
        for m in MODULES
        if (lines := m.read_text(encoding="utf-8").count("\n")) > 450
    }
    assert long == {}
