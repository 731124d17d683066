"""Use examples/browser as its README says, type into its page in headless Chromium, and compare what it shows.

    python -m tests.ecosystem.browser [--work FOLDER] [--environments FOLDER] [--pictures FOLDER]

The labels on the page must be those of ftool_runtime for every text, the page must have asked no other server for
anything, and a text that was typed in full must be answered although the model was busy with its beginning.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.commands import REPOSITORY
from benchmarks.environments import PLACE, node_environment
from tests.ecosystem.bundles import bundle

import ftool_runtime as ft

EXAMPLE: Final = REPOSITORY / "examples" / "browser"
SCRIPT: Final = Path(__file__).resolve().parent / "consumers" / "type_in_page.mjs"
TEXTS: Final = ("set a timer for ten minutes", "dim the screen a bit", "is it going to rain in Lisbon", "play jazz")


def main() -> None:
    """Place the page, type, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("models/ecosystem"))
    parser.add_argument("--environments", type=Path, default=PLACE)
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the page")
    options = parser.parse_args()
    folder, modules = bundle("intents", options.work), node_environment(options.environments)
    subprocess.run(["node", EXAMPLE / "place.mjs", folder, modules], check=True)
    pictures = options.pictures.absolute() if options.pictures else ""
    with tempfile.TemporaryDirectory() as place:
        found = Path(place) / "found.json"
        spec = json.dumps({"site": str(EXAMPLE / "site"), "texts": TEXTS, "pictures": str(pictures)})
        subprocess.run(["node", SCRIPT, modules, spec, found], check=True)
        shown = json.loads(found.read_text(encoding="utf-8"))
    with ft.TextClassifier.load(folder) as model:
        expected = [
            [[one.label.replace("_", " "), f"{100 * one.score:.0f}%"] for one in answer.top]
            for answer in model(TEXTS, top_k=3)
        ]
    for text, page, own in zip(TEXTS, shown["answers"], expected, strict=True):
        print(f"{text}: {page}")
        if page != own:
            sys.exit(f"the page shows {page} for {text!r}, and ftool_runtime answers {own}")
    if shown["elsewhere"]:
        sys.exit(f"the page asked for {shown['elsewhere']}, which is not beside it")
    print(f"the page shows ftool_runtime's answers; p50 {shown['milliseconds']:.1f} ms, {shown['files']} files")


if __name__ == "__main__":
    main()
