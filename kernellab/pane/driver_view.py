"""What a driver has, as tables: for the Driver view, and as static HTML without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from .text import one_line

if TYPE_CHECKING:
    from ..inspect.info import DriverInfo

#: Heading and columns of each list: the field, its heading, whether it is a number.
_Column = tuple[str, str, bool]
_TABLES: Final[Mapping[str, tuple[str, Sequence[_Column]]]] = {
    "devices": (
        "Devices",
        (
            ("name", "Name", False),
            ("type", "Type", True),
            ("handles", "Open", True),
            ("address", "Address", False),
            ("attached_to", "Attached to", False),
            ("what", "", False),
        ),
    ),
    "links": ("Symbolic links", (("name", "Name", False), ("target", "Leads to", False))),
    "handles": (
        "Open handles",
        (
            ("handle", "Handle", True),
            ("path", "Opened as", False),
            ("device", "Device", False),
            ("by", "By", False),
        ),
    ),
    "pool": (
        "Pool by tag",
        (
            ("tag", "Tag", False),
            ("live", "Allocations", True),
            ("bytes", "Bytes", True),
            ("peak", "Peak", True),
            ("made", "Made so far", True),
        ),
    ),
    "irps": (
        "IRPs",
        (
            ("major", "Major function", False),
            ("state", "State", False),
            ("status", "Status", False),
            ("device", "Device", False),
            ("thread", "Thread", True),
            ("since", "Since", True),
            ("irp", "Address", False),
        ),
    ),
    "threads": (
        "Threads",
        (("thread", "Thread", True), ("priority", "Priority", True), ("state", "State", False)),
    ),
    "timers": (
        "Timers that are set",
        (("timer", "Timer", False), ("due", "Due", True), ("period", "Period", True)),
    ),
    "dpcs": ("DPCs", (("dpc", "DPC", False), ("routine", "Routine", False))),
    "work_items": (
        "Work items",
        (("item", "Item", False), ("routine", "Routine", False), ("state", "State", False)),
    ),
}
#: Left out where there are none.
_SELDOM: Final = frozenset(("threads", "timers", "dpcs", "work_items"))
#: Rows of one table in the static form: a saved notebook stays small.
_STATIC_ROWS: Final = 10


def sections(info: DriverInfo) -> list[dict[str, Any]]:
    """The tables of a view, imports last; all text is harmless."""
    out = []
    if info.told:
        for name, (title, columns) in _TABLES.items():
            rows = getattr(info, name)
            if rows or name not in _SELDOM:
                out.append(_section(name, title, columns, rows, info.counts.get(name, len(rows))))
    imports = [(each.module, each.name, each.simulated) for each in info.imports]
    table = [
        [one_line(module), one_line(name), "simulated" if known else "not on sim"]
        for module, name, known in sorted(imports, key=lambda row: (row[2], row[0].lower(), row[1]))
    ]
    missing = sum(not known for _, _, known in imports)
    section = {"id": "imports", "title": "Imports", "rows": table, "total": len(table)}
    section["columns"] = [["Module", False], ["Routine or variable", False], ["On sim", False]]
    if missing:
        section["warning"] = f"{missing:,} not on sim"
    return [*out, section]


def _section(
    name: str, title: str, columns: Sequence[_Column], rows: Sequence[Any], total: int
) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "columns": [[heading, number] for _, heading, number in columns],
        "rows": [[_cell(row, field) for field, _, _ in columns] for row in rows],
        "total": total,
    }


def _cell(row: Any, field: str) -> str:
    if field == "what":  # of a device
        words = [w for w, on in (("exclusive", row.exclusive), ("deleted", row.deleted)) if on]
        return ", ".join(words)
    value = getattr(row, field)
    if isinstance(value, float):
        return f"{value:.6f} s" if value or field != "period" else "once"
    if isinstance(value, int):
        return (
            f"{value:#x}" if field == "type" else f"{value:,}" if value or field != "thread" else ""
        )
    return one_line(value) or ("(no name)" if field == "name" else "")


def render_driver(info: DriverInfo) -> str:
    """A driver as static HTML: needs no script and no kernel, for light and dark grounds."""
    from .driver_tab import facts

    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(label)}</th>'
        f'<td style="text-align:left;overflow-wrap:anywhere">{escape(value)}</td></tr>'
        for label, value, _ in facts(info)
    )
    note = f"<div>{escape(one_line(info.note))}</div>" if info.note else ""
    tables = "".join(_table(section) for section in sections(info) if section["rows"])
    return (
        f'<div role="group" aria-label="Driver {escape(one_line(info.name))}">'
        f"<strong>{escape(one_line(info.name))}</strong>{note}<table>{rows}</table>{tables}</div>"
    )


def _table(section: Mapping[str, Any]) -> str:
    shown, total = section["rows"][:_STATIC_ROWS], section["total"]
    count = f"{total:,}" if total <= len(shown) else f"first {len(shown)} of {total:,}"
    sides = ["right" if number else "left" for _, number in section["columns"]]
    head = "".join(
        f'<th scope="col" style="text-align:{side}">{escape(heading)}</th>'
        for (heading, _), side in zip(section["columns"], sides, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{side};overflow-wrap:anywhere">{escape(cell)}</td>'
            for cell, side in zip(row, sides, strict=True)
        )
        + "</tr>"
        for row in shown
    )
    is_open = " open" if section["id"] in ("devices", "pool") else ""
    return (
        f"<details{is_open}><summary>{escape(section['title'])} ({count})</summary>"
        f"<table><tr>{head}</tr>{body}</table></details>"
    )
