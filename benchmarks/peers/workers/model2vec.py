"""Static vectors that model2vec distils from a base model, with a linear classifier: another model, trained here."""

from pathlib import Path
from typing import Any

from benchmarks.peers.workers.inputs import training_texts
from ftool.bench.worker import Calls

WIDTH = 256  # the width that model2vec recommends


def prepare(spec: dict[str, Any]) -> None:
    """Distil the base, and train the classifier with the penalty that is best in cross-validation."""
    import joblib
    import numpy as np
    from model2vec.distill import distill
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    folder = Path(spec["folder"])
    texts, labels = training_texts(spec)
    distilled = distill(model_name=spec["base"], pca_dims=WIDTH)
    distilled.embedding = np.ascontiguousarray(
        distilled.embedding
    )  # safetensors 0.8.0 mixes up arrays by columns
    distilled.save_pretrained(str(folder / "model"))
    static = _static(folder)
    search = GridSearchCV(LogisticRegression(max_iter=2000), {"C": [1, 10, 100, 1000]}, cv=3)
    joblib.dump(search.fit(static.encode(texts), labels).best_estimator_, folder / "classifier.joblib")


def _static(folder: Path) -> Any:
    from model2vec import StaticModel

    static = StaticModel.from_pretrained(str(folder / "model"))
    static.tokenizer.no_padding()  # the base's tokenizer pads to 128 tokens, and their vectors would count
    static.tokenizer.no_truncation()
    return static


def load(spec: dict[str, Any]) -> Calls:
    """Load the static vectors and the classifier, and return the calls that are timed."""
    import joblib

    folder = Path(spec["folder"])
    static = _static(folder)
    classifier = joblib.load(folder / "classifier.joblib")

    def many(texts: list[str]) -> list[str]:
        labels: list[str] = classifier.predict(static.encode(texts)).tolist()
        return labels

    return Calls(one=lambda text: many([text]), many=many, answers=many)
