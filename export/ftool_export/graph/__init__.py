"""Checks and measurements of graphs during the export."""
