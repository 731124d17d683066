"""Architectures: a table of those that are tested, and checks that refuse others before an export."""
