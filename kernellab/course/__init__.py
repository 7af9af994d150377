"""The course: its lessons, their exercises and checks, and what you have solved.

In a lesson, ``check("2.1")`` looks at what you built for exercise 2.1 and says whether it is
solved, else gives a hint. ``kernellab course`` on the command line lists the lessons.
"""

from .check import Result, check
from .exercise import Trial, exercise
from .lessons import Lesson, lessons

__all__ = ["Lesson", "Result", "Trial", "check", "exercise", "lessons"]
