"""The verifier: rules that listen to what happens in the simulated kernel, one class each.

It is on unless asked otherwise, and each rule can be switched off by its name. A rule is added by
writing a module with a :class:`~.base.Rule` and naming it in :data:`_MODULES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from .base import Rule, Verifier

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: In the order in which ``kernellab rules`` and the documentation list their rules.
_MODULES: Final = """
    pool_bounds pool_use disclosure user_memory irql lock kernel_stack too_long
    irp irp_use bad_argument format_string pnp
    leak_pool leak_io leak_mdl leak_memory leak_object leak_thread leak_work
""".split()


@cache
def table() -> tuple[type[Rule], ...]:
    """All rules."""
    found: list[type[Rule]] = []
    for name in _MODULES:
        module = import_module(f"{__name__}.{name}")
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type)
            and issubclass(value, Rule)
            and value.__module__ == module.__name__
            and not value.__name__.startswith("_")
        ]
    return tuple(found)


def attach(k: Kernel, setting: str | Mapping[str, bool] = "on") -> Verifier | None:
    """Have the rules listen to a machine; None where the verifier is off as a whole."""
    if setting == "off":
        return None
    from .origins import PoolStacks

    off = {} if isinstance(setting, str) else setting
    verifier = Verifier(k, table(), off)
    PoolStacks(k)
    return verifier
