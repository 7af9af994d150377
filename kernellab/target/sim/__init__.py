"""The simulated NT kernel: ``exports`` over ``kernel`` over ``machine``, ``endpoint`` in front."""
