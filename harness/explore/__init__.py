"""Exploring: a crash at every point of a job, and seeded schedules of several faults."""
