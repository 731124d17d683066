"""Data sources that are read into tables: files, folders, the hub and shipped data sets."""
