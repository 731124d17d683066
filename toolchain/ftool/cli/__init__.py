"""The `ftool` command."""

from ftool.cli.group import main

__all__ = ["main"]
