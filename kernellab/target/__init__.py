"""Targets: where a driver is loaded. See :mod:`kernellab.target.base`."""
