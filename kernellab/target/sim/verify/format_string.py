"""Text that is not the driver's own, used as a format."""

from __future__ import annotations

from .base import Rule, listens


class FormatString(Rule):
    """``DbgPrint(text)`` interprets every ``%`` in ``text``: use ``DbgPrint("%s", text)``."""

    name = "format-string"
    summary = "DbgPrint's format is data rather than a constant of the driver"
    page = 'WDK: "DbgPrint function (wdm.h)"; CWE-134'

    @listens("print-format")
    def _printing(self, address: int) -> None:
        page = self.k.memory.page(address)
        if page is None or not (page.write or page.user):
            return  # a constant of an image; what is not mapped faults by itself
        self.report(
            f"the format of a DbgPrint is at {address:#x}, in memory that can change: a '%' in it "
            'would be interpreted; pass "%s" as the format, and the text as its argument'
        )
