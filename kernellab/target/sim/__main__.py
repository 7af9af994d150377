"""``python -m kernellab.target.sim``: the simulated kernel as an endpoint."""

from .endpoint import main

main()
