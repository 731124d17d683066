"""Readers that turn table rows into examples, one reader for each kind of example."""
