"""Values in, text out: every report of a run is rendered from its `Result` and its histories."""
