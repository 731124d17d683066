"""The tasks: one row per task, and the table of rows by name."""
