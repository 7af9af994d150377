"""kernellab: a kernel driver lab inside Jupyter."""

from __future__ import annotations

__version__ = "0.1.0"
