"""Decoders: the decoder graph, key and value caches, and batches of rows."""
