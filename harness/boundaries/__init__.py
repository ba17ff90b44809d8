"""The boundaries of a job, seen from outside: every message that leaves a worker, stopped before or after it left.

`user_notify` stands in the subject, `supervisor` is a process of its own, `messages` names what is sent, `rules` says
where to strike, `record` is what is written down.
"""
