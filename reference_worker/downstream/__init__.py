"""The services that the jobs call, one client a file. Each call has a timeout; how long a job may take in all is the
soft limit's.
"""
