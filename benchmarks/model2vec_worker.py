"""Worker process that runs static vectors of model2vec with a linear classifier, in an environment that has model2vec.

The engine's folder has base/, the checkpoint whose token vectors are distilled, and texts.json: texts and labels for
training, and texts to answer. The first start distils and trains; it writes model/, classifier.joblib and answers.json.
"""

import json
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / "toolchain"), str(REPOSITORY / "runtime")]

from ftool.bench.worker import Calls, serve  # noqa: E402  ftool is not installed in this environment

WIDTH = 256  # the width that model2vec recommends


def trained(folder: Path) -> None:
    """Distil the checkpoint and train the classifier, unless an earlier start has."""
    if (folder / "answers.json").exists():
        return
    import joblib
    from model2vec.distill import distill
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    data = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    static = distill(model_name=str(folder / "base"), pca_dims=WIDTH)
    static.save_pretrained(str(folder / "model"))
    search = GridSearchCV(LogisticRegression(max_iter=2000), {"C": [1, 10, 100, 1000]}, cv=3)
    classifier = search.fit(static.encode(data["train"]), data["labels"]).best_estimator_
    joblib.dump(classifier, folder / "classifier.joblib")
    answers = classifier.predict(static.encode(data["test"])).tolist()
    (folder / "answers.json").write_text(json.dumps(answers), encoding="utf-8")


def load(spec: dict) -> Calls:
    """Load the static vectors and the classifier, and return the calls that are timed."""
    folder = Path(spec["folder"])
    trained(folder)
    import joblib
    from model2vec import StaticModel

    static = StaticModel.from_pretrained(str(folder / "model"))
    classifier = joblib.load(folder / "classifier.joblib")

    def many(texts: list[str]) -> object:
        return classifier.predict(static.encode(texts))

    return Calls(one=lambda text: many([text]), many=many)


if __name__ == "__main__":
    serve(load)
