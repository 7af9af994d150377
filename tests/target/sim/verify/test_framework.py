"""The verifier as a whole: switching rules off, what the protocol and the command line say."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kernellab
from kernellab import cli
from kernellab.build import BuildResult
from kernellab.cell.options import complete_magic
from kernellab.errors import Bugcheck, UsageError
from kernellab.target import registry
from kernellab.target.sim.verify import table
from kernellab.workbench import Workbench


@pytest.fixture(scope="module")
def leaky(build_driver: Callable[..., BuildResult]) -> Path:
    """A driver that leaks 100 bytes of pool."""
    return build_driver(
        "leaky",
        """unsafe { windows_kernel_rs::sys::ExAllocatePool2(64, 100, 0x6b61654c);
        windows_kernel_rs::sys::KeStallExecutionProcessor(60); }""",
    ).sys


def rules_of(image: Path, *, of_driver: Any = None, **options: Any) -> list[str]:
    with kernellab.connect("sim", **options) as target:
        target.load(image, verifier=of_driver).unload()
        return [v.rule for v in target.violations]


def test_rules_are_on_and_each_can_be_switched_off(leaky: Path) -> None:
    assert rules_of(leaky) == ["stall-too-long", "leak-pool"]
    assert rules_of(leaky, verifier={"leak-pool": False}) == ["stall-too-long"]
    assert rules_of(leaky, verifier={"leak-pool": True}) == ["stall-too-long", "leak-pool"]
    assert rules_of(leaky, verifier="off") == []


def test_rules_can_be_off_for_one_driver(leaky: Path) -> None:
    with kernellab.connect("sim") as target:
        first = target.load(leaky, name="first", verifier={"stall-too-long": False})
        target.load(leaky, name="second", verifier="off").unload()
        first.unload()
        assert [(v.driver, v.rule) for v in target.violations] == [("first", "leak-pool")]
        # They stay off when the driver is loaded again, and belong to no other.
        first.reload()
        first.unload()
        target.load(leaky, name="second").unload()
        assert [v.rule for v in target.violations[1:]] == [
            *("leak-pool", "stall-too-long", "leak-pool")
        ]


def test_without_its_rule_an_underrun_has_the_consequence_that_it_has_on_windows(
    build_driver: Callable[..., BuildResult],
) -> None:
    """ "Bug Check 0x19: BAD_POOL_HEADER", 0x20; it shows where the memory was allocated."""
    image = build_driver(
        "underrun",
        """unsafe { let p = windows_kernel_rs::sys::ExAllocatePool2(64, 100, 0x6b61654c);
        p.cast::<u8>().sub(1).write(1);
        windows_kernel_rs::sys::ExFreePoolWithTag(p, 0x6b61654c); }""",
    ).sys
    assert rules_of(image) == ["pool-underrun"]
    for setting in ({"pool-underrun": False}, "off"):
        with kernellab.connect("sim") as target, pytest.raises(Bugcheck) as info:
            target.load(image, verifier=setting)
        assert (info.value.code, info.value.parameters[0]) == (0x19, 0x20)
        event = target.bugcheck
        assert event is not None and event.related[0].label == "allocated here"
        assert any(frame.module == "underrun" for frame in event.related[0].frames)


@pytest.mark.parametrize("setting", [{"no-such-rule": False}, "sometimes", 3])
def test_a_misspelt_setting_is_an_error(setting: object) -> None:
    with pytest.raises(UsageError, match="rule"):
        kernellab.connect("sim", verifier=setting)


def test_command_line(leaky: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", str(leaky)]) == 5
    text = capsys.readouterr().err
    assert "verifier: leak-pool: 100 bytes of pool with tag 'Leak'" in text
    off = ["--no-verify", "leak-pool", "--no-verify", "stall-too-long"]
    assert cli.main(["run", str(leaky), *off]) == 0
    assert cli.main(["run", str(leaky), "--no-verify", "all"]) == 0
    assert cli.main(["run", str(leaky), "--no-verify", "nothing"]) == 2
    assert "there is no verifier rule 'nothing'; there are: pool-overrun" in (
        capsys.readouterr().err
    )


def test_list_of_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [rule.name for rule in table()]


def test_each_rule_says_what_it_is() -> None:
    rules = registry.get("sim").rules()
    assert len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.name == rule.name.lower() and " " not in rule.name
        assert rule.page and rule.summary and "\n" not in rule.summary
        assert len(rule.summary) < 100, rule.name


def test_tab_completes_rules() -> None:
    bench = Workbench()
    offered = complete_magic(["hello", "--no-verify"], "leak-", bench.values_of)
    assert "leak-pool" in offered and all(name.startswith("leak-") for name in offered)
    assert "all" in complete_magic(["hello", "--no-verify"], "", bench.values_of)


def test_each_rule_is_broken_by_a_driver_and_kept_by_its_twin() -> None:
    """Each is named by a test that runs a driver both ways; those about PnP have a driver more."""
    tests = Path(__file__).parents[1]
    named = {
        node.value
        for path in tests.rglob("test_*.py")
        for test in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(test, ast.FunctionDef) and any(a.arg == "breaks" for a in test.args.args)
        for node in ast.walk(test)
        if isinstance(node, ast.Constant)
    }
    left = [rule.name for rule in table() if rule.name not in named]
    assert all(name.startswith("pnp-") for name in left), left
    pnp = (tests / "exports" / "test_pnp.py").read_text(encoding="utf-8")
    assert [name for name in left if f'"{name}"' not in pnp] == []


def test_the_table_in_the_documentation_is_up_to_date() -> None:
    """``tools/bless.py docs`` makes it."""
    root = Path(kernellab.__file__).parents[1]
    tools = runpy.run_path(str(root / "tools" / "bless.py"))
    page = (root / "docs" / "simulator.md").read_text(encoding="utf-8")
    assert tools["with_rules"](page) == page
