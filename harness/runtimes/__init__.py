"""Where a subject runs."""
