"""Bundles on disk: the manifest, the files with their hashes, and golden answers."""
