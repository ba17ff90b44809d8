"""The queues are watched, and not only the workers: a process of its own, which needs neither Celery nor a worker.

Each queue's depth and the age of its oldest message are sampled in the broker, told as Prometheus metrics, and turned
into alerts. Age comes from the publish time that `stamping` puts into every message.
"""
