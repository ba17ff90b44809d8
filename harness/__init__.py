"""jobproof: chaos testing for job systems. Start with `docs/design.md`."""

__version__ = "0.1.0"
