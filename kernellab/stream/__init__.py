"""Events become a log. See :mod:`kernellab.stream.log`."""

from .log import DbgLog

__all__ = ["DbgLog"]
