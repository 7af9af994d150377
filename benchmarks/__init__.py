"""Measurements of how fast and how big kernellab is: ``make bench``."""
