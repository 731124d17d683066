"""Data sources, each read into tables: files, folders, the hub, shipped data."""
