"""``%rustc --explain E0502``: the compiler's own explanation of an error code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ..build import find_toolchain
from ..errors import UsageError
from . import tool

_CODE: Final = re.compile(r"[Ee]?([0-9]{1,4})")
_FENCE: Final = re.compile(r"^```[^`\n]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What rustc says about ``code``; shown as Markdown where the front end can."""

    code: str
    text: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.code}\n\n{self.text}"

    @property
    def markdown(self) -> str:
        """The explanation with its examples marked as Rust, so that they are highlighted."""
        opening = True

        def fence(match: re.Match[str]) -> str:
            nonlocal opening
            opening, now = not opening, opening
            return "```rust" if now else match[0]

        return f"#### {self.code}\n\n{_FENCE.sub(fence, self.text)}"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/plain": str(self), "text/markdown": self.markdown}


def normal_code(text: str) -> str:
    """``e502``, ``502`` and ``E0502`` as ``E0502``; raises UsageError for what is no code."""
    match = _CODE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text[:40]!r} is not an error code such as E0502: it stands in brackets after"
            " `error` in a message"
        )
    return f"E{int(match[1]):04}"


def explain(code: str) -> Explanation:
    """rustc's explanation of ``code``. Raises UsageError for one it does not know."""
    code = normal_code(code)
    ended = tool.run(find_toolchain().rustc, "--explain", code)
    if ended.returncode or not ended.stdout.strip():
        raise UsageError(f"rustc has no explanation of {code}: is it the code in the message?")
    return Explanation(code, ended.stdout.strip() + "\n")


def codes_in(diagnostics: Iterable[object]) -> list[str]:
    """The error codes that rustc can explain, each once, in the order of the messages."""
    codes = (str(getattr(each, "code", "")) for each in diagnostics)
    return list(dict.fromkeys(code for code in codes if re.fullmatch(r"E[0-9]{4}", code)))


def compiler_version() -> str:
    """The compiler that builds drivers, as ``rustc --version`` says it."""
    return tool.run(find_toolchain().rustc, "--version").stdout.strip()
