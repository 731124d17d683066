"""TF-IDF of words and pairs of words with a linear classifier of scikit-learn: another model, trained here."""

from pathlib import Path
from typing import Any

from benchmarks.peers.workers.inputs import training_texts
from ftool.bench.worker import Calls


def prepare(spec: dict[str, Any]) -> None:
    """Train the classifier."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LinearSVC()).fit(*training_texts(spec))
    joblib.dump(model, Path(spec["folder"]) / "model.joblib")


def load(spec: dict[str, Any]) -> Calls:
    """Load the classifier, and return the calls that are timed."""
    import joblib

    model = joblib.load(Path(spec["folder"]) / "model.joblib")

    def many(texts: list[str]) -> list[str]:
        labels: list[str] = model.predict(texts).tolist()
        return labels

    return Calls(one=lambda text: many([text]), many=many, answers=many)
