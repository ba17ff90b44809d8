"""The model Celery application: one job done right, small enough to copy from. See `docs/reference-worker.md`."""
