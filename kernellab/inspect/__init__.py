"""Asking what a driver has on its machine now; it changes nothing there."""
