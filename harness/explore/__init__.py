"""Crash points: what a job's boundaries are, and what comes of a worker that is killed at each of them.

`points` is pure: from the boundaries of a few clean runs to the crash points. `stage` is one deployed system on which
trial follows trial; `interception` is how a worker is stopped at a boundary, and `proxied` how it is elsewhere than on
Linux; `exploration` does it all.
"""
