"""Checks and measurements of graphs that are being made."""
