"""A notebook as a file: the driver cells in it, and what can be made of them."""

from .drivers import NotebookDriver, read_drivers

__all__ = ["NotebookDriver", "read_drivers"]
