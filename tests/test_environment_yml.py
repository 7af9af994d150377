"""environment.yml says the same as pyproject.toml, for conda users."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from kernellab.build.toolchain import MINIMUM, TARGET

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


@pytest.fixture(scope="module")
def environment() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((ROOT / "environment.yml").read_text())
    return table


def split(requirements: list[str]) -> dict[str, str]:
    found = {}
    for each in requirements:
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", each)
        assert match, each
        found[match[1]] = match[2]
    return found


def conda(environment: dict[str, Any]) -> dict[str, str]:
    return split([each for each in environment["dependencies"] if isinstance(each, str)])


def pip(environment: dict[str, Any]) -> list[str]:
    (inner,) = [each["pip"] for each in environment["dependencies"] if isinstance(each, dict)]
    packages: list[str] = inner
    return packages


def test_every_dependency_is_there_with_the_same_bound(
    project: dict[str, Any], environment: dict[str, Any]
) -> None:
    wanted = split([*project["dependencies"], *project["optional-dependencies"]["lab"]])
    given = conda(environment) | split([p for p in pip(environment) if not p.startswith("-")])
    assert {name: given.get(name) for name in wanted} == wanted


def test_no_python_package_is_there_without_need(
    project: dict[str, Any], environment: dict[str, Any]
) -> None:
    wanted = split([*project["dependencies"], *project["optional-dependencies"]["lab"]])
    others = set(conda(environment)) - set(wanted)
    assert others == {"python", "pip", "rust", f"rust-std-{TARGET}", "lld"}


def test_versions_of_python_and_rust(project: dict[str, Any], environment: dict[str, Any]) -> None:
    given = conda(environment)
    assert given["python"] == project["requires-python"]
    assert given["rust"] == given[f"rust-std-{TARGET}"] == f">={MINIMUM[0]}.{MINIMUM[1]}"


def test_the_package_itself_comes_with_the_lab(environment: dict[str, Any]) -> None:
    assert "-e .[lab]" in pip(environment)
    assert environment["channels"] == ["conda-forge"]
