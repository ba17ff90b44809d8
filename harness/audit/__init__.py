"""What is wrong with an application that can be seen without running a job: its settings, its tasks, their source.

`survey` asks the live application, in its own environment; `code` reads the source of its modules; the rules, one a
file, judge the two. See `docs/audit.md`.
"""
