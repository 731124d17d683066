"""Where the repository and the public data sets beside it stand."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"
INTENTS = REPOSITORY / "toolchain" / "ftool" / "builtin" / "intents"
