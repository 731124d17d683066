"""The decoder graph in use: its caches and the rows that share a run."""
