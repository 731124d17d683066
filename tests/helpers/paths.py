"""The paths of the repository and of the public data sets beside it."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
INTENTS = REPOSITORY / "toolchain" / "ftool" / "builtin" / "intents"
