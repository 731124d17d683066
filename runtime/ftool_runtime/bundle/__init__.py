"""Bundles on disk: the manifest, the files and their hashes, golden answers."""
