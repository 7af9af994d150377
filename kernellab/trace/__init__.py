"""What ran on the machine, and when: a recorded trace, to look at, to save, to show."""

from .data import Trace as Trace
from .data import TraceEvent as TraceEvent
