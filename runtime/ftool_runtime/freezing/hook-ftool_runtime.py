"""PyInstaller's hook: the modules that `ftool_runtime` imports by name on first use, which no scan of imports finds."""
# ruff: noqa: N999

import ftool_runtime

hiddenimports = list(vars(ftool_runtime)["_LATER"])
