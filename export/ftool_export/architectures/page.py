"""Write docs/architectures.md from the tables that the tests use."""

import sys
from pathlib import Path
from typing import Final

from ftool_export.architectures import encoders, generators

_HEAD: Final = """# Architectures

Made by `python -m ftool_export.architectures.page docs/architectures.md`, from the tables that the tests go by. Any
other architecture of transformers is tried when it is exported: its graphs must answer as torch does, or no bundle is
written.

"""


def architectures_page() -> str:
    """The page of the docs, in Markdown."""
    return _HEAD + encoders.support_section() + "\n" + generators.support_section()


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(architectures_page(), encoding="utf-8")
