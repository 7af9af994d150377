"""Editing a driver's cell: formatted, explained, expanded, and shown as machine code."""
