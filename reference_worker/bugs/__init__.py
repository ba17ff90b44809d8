"""Planted bugs: the mistakes that each practice exists to prevent, small and readable.

The worker is started with one of them by `REFERENCE_WORKER_BUG=<name>`; `reference_worker/contract.py` says which
guarantee each must violate. Never set it anywhere else.
"""
