"""Data sets: read from files and hubs, checked, split."""
