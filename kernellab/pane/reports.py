"""What the verifier found and what the compiler says, as static HTML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from ..protocol import ErrorEvent, Violation
from .fixes import Fix, fixes_of
from .places import go, link_places, render_place, render_related, render_stack
from .text import (
    Rules,
    Source,
    diagnostic_text,
    explain_hint,
    format_seconds,
    format_size,
    is_user,
    one_line,
    stack_key,
    stop_head,
    stop_hint,
    violation_place,
)

#: Empty lines at a message's end, as the compiler writes them between two.
_LAST_LINES: Final = re.compile(r"\s+</pre>$")

#: Shown of each, in number and in characters of HTML; the rest is counted.
MOST: Final = 50
MOST_CHARACTERS: Final = 96 * 1024
#: Of a rule that was broken many times, so many are open and the others folded.
OPEN_OF_A_RULE: Final = 2


def render_violations(
    violations: Sequence[Violation], source: Source = None, rules: Rules | None = None
) -> str:
    """Broken rules, each with its places in ``source`` and their call stacks folded.

    ``rules`` is what is known of them.
    """
    if not violations:
        return ""
    count = len(violations)
    head = "The verifier found a mistake" if count == 1 else f"The verifier found {count} mistakes"
    parts = [
        f'<div class="kernellab-violations kl-box kl-warn" role="group" aria-label="{head}">'
        f"<strong>⚠ {head}</strong>"
    ]
    groups: dict[str, list[Violation]] = {}
    for violation in violations[:MOST]:
        groups.setdefault(violation.rule, []).append(violation)
    for rule, found in groups.items():
        parts.append(_rule(rule, found, source, rules or {}))
    if count > MOST:
        parts.append(f"<div>… and {count - MOST} more</div>")
    parts.append("</div>")
    return "".join(parts)


def _rule(rule: str, found: Sequence[Violation], source: Source, rules: Rules) -> str:
    times = f" ×{len(found)}" if len(found) > 1 else ""
    name = escape(one_line(rule))
    items, places = [], set[tuple[object, ...]]()
    for number, violation in enumerate(found):
        place = stack_key(violation)
        known = bool(violation.frames) and place in places
        places.add(place)
        items.append(_violation(name if number else name + times, violation, source, known))
    out = "".join(items[:OPEN_OF_A_RULE])
    if folded := items[OPEN_OF_A_RULE:]:
        out += (
            f"<details><summary>{len(folded)} more of {name}</summary>{''.join(folded)}</details>"
        )
    if rule in rules:
        summary, to_read = (escape(each) for each in rules[rule])
        out += (
            f"<div><code>{name}</code>: {summary}. To read: {to_read}. "
            f"<code>--no-verify {name}</code> switches the rule off.</div>"
        )
    return f'<div class="kl-rule">{out}</div>'


def _violation(head: str, violation: Violation, source: Source, known: bool) -> str:
    """One violation; ``known``: the one before it has shown the place and the stack."""
    said = f"<div><code>{head}</code>: {escape(one_line(violation.message))}"
    if known:
        return f"{said} (in the same place){render_related(violation.related, source)}</div>"
    own = violation_place(violation, source)
    return (
        f"{said}</div>"
        f"{render_place(own, source) if own is not None else ''}"
        f"{render_stack(violation.frames, source)}{render_related(violation.related, source)}"
    )


def render_stop(event: ErrorEvent, source: Source = None) -> str:
    """Where driver code was stopped: its place in ``source``, its call stack folded."""
    head = escape(stop_head(event))
    own = next((f for f in event.frames if is_user(f, source) and f.line), None)
    hint = escape(stop_hint(event))
    return (
        f'<div class="kernellab-stop kl-box kl-error" role="group" aria-label="{head}">'
        f"<strong>✖ {head}</strong>"
        f"{f'<div>{hint}</div>' if hint else ''}"
        f"{render_place(own, source) if own is not None else ''}"
        f"{render_stack(event.frames, source)}</div>"
    )


def render_build(built: Mapping[str, Any]) -> str:
    """A finished build in one line, with what there is to know of it folded."""
    crates = built["crates"]
    count = "1 crate" if len(crates) == 1 else f"{len(crates)} crates"
    seconds = format_seconds(built["seconds"])
    head = f"built in {seconds} · {format_size(built['size'])}"
    if built["cached"]:
        head = f"built before, found in {seconds} · {format_size(built['size'])}"
    if crates:
        head += f" · {count}"
    took = [f"{one_line(name)} {format_seconds(each)}" for name, each in crates if each]
    there = [one_line(name) for name, each in crates if not each]
    rows = {
        "command": built["command"],
        "profile": "release" if built["release"] else "dev",
        "warnings": str(built["warnings"]),
        ".sys": f"{built['size']:,} bytes, SHA-256 {built['sha256'][:16]}…",
        ".pdb": f"{built['pdb_size']:,} bytes",
        "compiled": ", ".join(took),
        "already there": ", ".join(there),
    }
    table = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(one_line(text))}</td></tr>"
        for name, text in rows.items()
        if text
    )
    return (
        f'<details class="kernellab-build"><summary>{escape(head)}</summary>'
        f'<table class="kl-table"><tbody>{table}</tbody></table></details>'
    )


def fixes(diagnostics: Sequence[Any], source: Source = None) -> list[Fix]:
    """What can be applied of the messages that are shown, in their order."""
    return [
        fix for of, each in enumerate(_ordered(diagnostics)) for fix in fixes_of(each, source, of)
    ]


def _is_error(diagnostic: Any) -> bool:
    return bool(getattr(diagnostic, "level", "error") == "error")


def _ordered(diagnostics: Sequence[Any]) -> list[Any]:
    """Errors first, and of both kinds so many as are shown."""
    errors = [d for d in diagnostics if _is_error(d)]
    others = [d for d in diagnostics if not _is_error(d)]
    return [*errors[:MOST], *others[:MOST]]


def render_diagnostics(diagnostics: Sequence[Any], source: Source = None) -> str:
    """Compiler messages: errors open (of several the first), all else folded.

    Each has ``level`` and either ``html`` (the compiler's own layout, already escaped) or
    ``text``. Where a suggestion of ``source`` can be applied there is an empty element for it:
    ``kernellab-fix-N`` for number N of :func:`fixes`.
    """
    errors = [d for d in diagnostics if _is_error(d)]
    others = [d for d in diagnostics if not _is_error(d)]
    found = dict(enumerate(fixes(diagnostics, source)))
    parts = []
    if errors:
        head = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        parts.append(
            f'<div class="kernellab-errors kl-box kl-error" role="group" aria-label="{head}">'
            f'<strong>✖ {head}</strong><span class="kernellab-fix-all"></span>'
            f"{_messages(errors, source, found, 0)}{_more(errors)}</div>"
        )
    if others:
        head = "1 warning" if len(others) == 1 else f"{len(others)} warnings"
        parts.append(
            '<details class="kernellab-warnings kl-box kl-warn">'
            f"<summary>⚠ {head}</summary>"
            f"{_messages(others, source, found, min(len(errors), MOST))}</details>"
        )
    return "".join(parts)


def _more(errors: Sequence[Any]) -> str:
    hint = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(explain_hint(errors)))
    return f"<div>{hint}</div>" if hint else ""


def _messages(
    diagnostics: Sequence[Any], source: Source, found: Mapping[int, Fix], first: int
) -> str:
    out: list[str] = []
    size = 0
    listed = len(diagnostics) > 1 and _is_error(diagnostics[0])
    for index, diagnostic in enumerate(diagnostics[:MOST]):
        rendered = getattr(diagnostic, "html", "") or (
            f"<pre>{escape(diagnostic_text(diagnostic))}</pre>"
        )
        size += len(rendered)
        if size > MOST_CHARACTERS:
            break
        message = link_places(_LAST_LINES.sub("</pre>", rendered), source)
        for number, fix in found.items():
            if fix.of != first + index:
                continue
            diff = "" if fix.shown else f"<pre>{escape(chr(10).join(fix.diff))}</pre>"
            message += f'<div class="kernellab-fix-{number}">{diff}</div>'
        if listed:
            message = (
                f"<details{' open' if not index else ''}>"
                f"<summary>{_summary(diagnostic)}</summary>{message}</details>"
            )
        out.append(message)
    if len(out) < len(diagnostics):
        out.append(f"<div>… and {len(diagnostics) - len(out)} more</div>")
    return "".join(out)


def _summary(diagnostic: Any) -> str:
    """A message in the list of several: its code, its first line, its place."""
    code = one_line(str(getattr(diagnostic, "code", "")))
    message = one_line(str(getattr(diagnostic, "message", "") or diagnostic_text(diagnostic)))
    out = f"{f'<code>{escape(code)}</code> ' if code else ''}{escape(message[:160])}"
    line = getattr(diagnostic, "line", 0)
    if line:
        out += f" {go(escape(one_line(f'{diagnostic.file}:{line}')))}"
    return out
