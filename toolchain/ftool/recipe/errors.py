"""What is raised for a recipe that can't be used."""

from ftool_runtime.errors import FtoolError


class RecipeError(FtoolError):
    """A recipe, or a flag that overrides it, is wrong; the message names key, value and remedy."""
