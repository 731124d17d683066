"""The bundle on disk: its manifest, its files and their hashes, its golden answers."""
