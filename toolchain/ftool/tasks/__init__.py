"""The tasks: a `Task` row for each, in one file per kind of task, and the registry of rows by name."""
