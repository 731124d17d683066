"""Supported architectures: the tables that drive tests, docs and refusals."""
