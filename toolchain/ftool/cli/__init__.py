"""The `ftool` command."""

from .group import main

__all__ = ["main"]
