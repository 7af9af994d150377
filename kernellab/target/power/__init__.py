"""A virtual machine's power switch and snapshots. See :mod:`.base`."""
