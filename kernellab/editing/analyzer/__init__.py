"""rust-analyzer beside this kernel: it gets each cell as a document that is in memory only."""

from .client import Analyzer, Gone, NotReady
from .items import Completion, Hint, Signature
from .positions import Position, to_column, to_utf16
from .project import ROOT_FILE, Description, Package

__all__ = [
    "ROOT_FILE",
    "Analyzer",
    "Completion",
    "Description",
    "Gone",
    "Hint",
    "NotReady",
    "Package",
    "Position",
    "Signature",
    "to_column",
    "to_utf16",
]
