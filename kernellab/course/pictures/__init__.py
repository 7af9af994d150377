"""Pictures of lessons: an IRP's way, a number's bits, who calls a driver, and plots.

Those of boxes and requests are SVG images; those of the system take the colour of the page.
"""

from .boxes import bits, chain, sequence, strip
from .requests import life_of_a_request, page_map, transfer_methods, waiting
from .style import COLOURS, INK, Picture, picture, plot_style
from .system import Drawing, calls, timeline, tree

__all__ = [
    "COLOURS",
    "INK",
    "Drawing",
    "Picture",
    "bits",
    "calls",
    "chain",
    "life_of_a_request",
    "page_map",
    "picture",
    "plot_style",
    "sequence",
    "strip",
    "timeline",
    "transfer_methods",
    "tree",
    "waiting",
]
