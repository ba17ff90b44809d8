"""The servers that a run needs beside its subject."""
