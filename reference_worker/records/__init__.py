"""What the jobs are about, and how far each is: one table a file."""
