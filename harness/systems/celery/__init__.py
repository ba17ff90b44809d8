"""Celery on Redis: how to enqueue, watch, stop and redeliver its jobs."""
