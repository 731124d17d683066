"""Decoders: the graph, its key and value caches, and rows that share a run."""
