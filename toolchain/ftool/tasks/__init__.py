"""The rows of the tasks, a file each, and the table that holds them by name."""
