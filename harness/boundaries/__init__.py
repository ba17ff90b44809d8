"""The boundaries of a job, seen from outside: every message that leaves a worker, stopped before or after it left.

`messages` names what is sent, `rules` says where to strike, `armed` waits for it, `record` is what is written down.
Two ways of standing in between: `supervisor`, a process of its own, with `user_notify` in the subject; and
`message_proxies`, in front of whom the subject talks to, with a `conversation` for each connection and `clients` to
tell whose it is.
"""
