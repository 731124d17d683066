"""What a bundle says about its maker: of the user's data, names and paths, everything that its files hold."""

from collections.abc import Sequence

from ftool_runtime.bundle.manifest import Manifest

SCRATCH = "scratch:"  # begins the names of bases with random weights, whose tokenizer is made from the training texts


def disclosed(manifest: Manifest) -> list[str]:
    """Return what a finished bundle holds of the user's data and names, each as the object of a sentence.

    What its weights have learnt is left aside: a model can repeat what it was trained on. Nothing else in a bundle
    comes from the user: tests search the files of bundles of every task for training texts, paths and the user's name.
    """
    golden, training = manifest.evidence.get("golden", {}), manifest.training_data
    count = len(manifest.labels)
    kind = "number" if manifest.regression else "label"
    found = [
        (count > 0, f"the names of {count} {kind}{'s' * (count != 1)}"),
        (
            training.sha256 is not None,
            f"the number ({training.examples}) and the hash of the training examples",
        ),
        (golden.get("inputs") == "data", f"{golden.get('examples')} texts of the data, in golden.json"),
        (
            manifest.teaching is not None,
            f"features of {manifest.teaching.rows if manifest.teaching else 0} training texts, in replay.bin, from "
            "which much of a text can be guessed",
        ),
        (
            manifest.base.startswith(SCRATCH),
            "the words of the training texts, in tokenizer.json, which was learnt from them",
        ),
        (bool(manifest.name), f"the name {manifest.name!r}"),
    ]
    return [what for applies, what in found if applies]


def disclosure(manifest: Manifest) -> str:
    """Return `disclosed` as one line for people."""
    golden = manifest.evidence.get("golden", {})
    texts = "" if golden.get("inputs") == "data" else "no texts and "
    return f"of your data and names it holds {_listed(disclosed(manifest))}; {texts}no paths"


def _listed(parts: Sequence[str]) -> str:
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last
