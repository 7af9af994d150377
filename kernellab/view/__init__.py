"""What joins panes to what runs: the Driver view, one log of several drivers, panes let go of."""
