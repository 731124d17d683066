"""SetFit folders: the head is a logistic regression, which is read without unpickling; anything else is refused."""

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as parts
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.svm import LinearSVC

from ftool_export.checkpoints.classifier import compute_logits, create_classifier, load_classifier
from ftool_export.checkpoints.embedder import load_embedder
from ftool_export.checkpoints.pretrained import task_of
from ftool_export.errors import CheckpointError
from ftool_export.examples.classification import ClassificationExamples
from ftool_export.parity import parity
from ftool_export.pipeline import export
from ftool_export.settings import ExportSettings
from ftool_runtime.numerics import softmax


@pytest.fixture
def body(bert: Path, tmp_path: Path) -> Path:
    """A sentence-transformers folder to which tests add a head."""
    folder = tmp_path / "setfit"
    SentenceTransformer(
        modules=[parts.Transformer(str(bert)), parts.Pooling(32, pooling_mode="mean")], device="cpu"
    ).save(str(folder))
    return folder


def add_head(
    body: Path,
    texts: list[str],
    targets: Any,
    *,
    head: Any = None,
    labels: list[str] | None = None,
    normalize: bool = False,
    **options: Any,
) -> Any:
    """Train a head as SetFit does, save it beside the encoder, and return it."""
    vectors = SentenceTransformer(str(body), device="cpu").encode(texts, normalize_embeddings=normalize)
    trained = (LogisticRegression(**options) if head is None else head).fit(vectors, targets)
    joblib.dump(trained, body / "model_head.pkl")
    settings = {"labels": labels, "normalize_embeddings": normalize}
    (body / "config_setfit.json").write_text(json.dumps(settings))
    return trained


@pytest.mark.parametrize(
    ("targets", "options", "expected"),
    [
        ([0, 1, 0, 1, 0, 1, 0], {"labels": ["no", "yes"]}, ("no", "yes")),
        ([0, 1, 0, 1, 0, 1, 0], {}, ("0", "1")),
        ([0, 1, 2, 0, 1, 2, 2], {"labels": ["a", "b", "c"], "normalize": True}, ("a", "b", "c")),
        (["x", "y", "z", "x", "y", "z", "z"], {}, ("x", "y", "z")),
        (["x", "y", "x", "x", "y", "x", "y"], {"labels": ["x", "y"], "C": 9.0, "class_weight": "balanced"}, ("x", "y")),
        ([0, 2, 0, 2, 0, 2, 2], {"labels": ["a", "b", "c"]}, ("a", "c")),
        (np.array([False, True] * 3 + [True]), {"labels": ["no", "yes"]}, ("no", "yes")),
        ([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0], {"solver": "liblinear"}, ("0.0", "1.0")),
        (np.array(["x", "y", "zé", "x", "y", "zé", "zé"], dtype=object), {}, ("x", "y", "zé")),
    ],
)  # fmt: skip
def test_a_setfit_model_gives_its_own_probabilities(
    body: Path, texts: list[str], targets: Any, options: dict[str, Any], expected: tuple[str, ...]
) -> None:
    head = add_head(body, texts, targets, **options)
    assert task_of(str(body)) == "text-classification"
    loaded = load_classifier(body)
    assert loaded.labels == expected
    normalize = options.get("normalize", False)
    vectors = SentenceTransformer(str(body), device="cpu").encode(texts, normalize_embeddings=normalize)
    found = softmax(compute_logits(loaded, texts).astype(np.float64), axis=1)
    np.testing.assert_allclose(found, head.predict_proba(vectors), atol=1e-5)


def test_a_setfit_model_is_exported_and_saved(body: Path, texts: list[str], tmp_path: Path) -> None:
    add_head(body, texts, [0, 1, 2, 0, 1, 2, 2], labels=["a", "b", "c"])
    loaded = load_classifier(body)
    examples, bundle = ClassificationExamples(loaded=loaded, inputs=texts), tmp_path / "bundle"
    assert export(ExportSettings(bundle=bundle, name="x", precision="fp32"), loaded, examples).bundle
    assert parity(loaded, bundle, examples).passed
    (tmp_path / "run").mkdir()
    loaded.save(tmp_path / "run")
    again = load_classifier(tmp_path / "run")
    np.testing.assert_allclose(compute_logits(again, texts), compute_logits(loaded, texts), atol=1e-6)


def test_a_setfit_model_is_a_base_and_an_embedder_too(body: Path, texts: list[str]) -> None:
    add_head(body, texts, [0, 1, 2, 0, 1, 2, 2])
    assert create_classifier(str(body), ["a", "b"], multi_label=False).labels == ("a", "b")
    assert load_embedder(body).model.width == 32


@pytest.mark.parametrize(
    ("head", "targets", "words"),
    [
        (OneVsRestClassifier(LogisticRegression()), [0, 1, 2, 0, 1, 2, 2], "holds sklearn.multiclass.OneVsRestClass"),
        (MultiOutputClassifier(LogisticRegression()), [[0, 1]] * 3 + [[1, 0]] * 4, "holds sklearn.multioutput.Multi"),
        (RidgeClassifier(), [0, 1, 2, 0, 1, 2, 2], "holds sklearn.linear_model._ridge.RidgeClassifier"),
        (LinearSVC(), [0, 1, 2, 0, 1, 2, 2], "holds sklearn.svm._classes.LinearSVC"),
        (LogisticRegression(random_state=np.random.RandomState(0)), [0, 1, 2, 0, 1, 2, 2], "holds numpy.random"),
    ],
)  # fmt: skip
def test_other_heads_are_refused_by_name(
    body: Path, texts: list[str], head: Any, targets: Any, words: str
) -> None:
    add_head(body, texts, targets, head=head)
    with pytest.raises(CheckpointError, match=re.escape(words)) as caught:
        load_classifier(body)
    assert "ftool train FOLDER --task text-classification --base" in str(caught.value)


class _Runs:
    """An object whose pickle runs a command."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def _of_objects(marker: Path) -> Any:
    head = LogisticRegression()
    head.coef_ = np.array([[_Runs(marker)]], dtype=object)
    return head


def _with_attribute(marker: Path) -> Any:
    head = LogisticRegression()
    head.solver = _Runs(marker)
    return head


@pytest.mark.parametrize("make", [_Runs, _of_objects, _with_attribute, lambda marker: [_Runs(marker)]])
@pytest.mark.parametrize("dump", [joblib.dump, lambda head, path: path.write_bytes(pickle.dumps(head))])
def test_a_hostile_pickle_runs_nothing(
    body: Path, tmp_path: Path, make: Callable[[Path], Any], dump: Callable[[Any, Path], Any]
) -> None:
    marker = tmp_path / "ran"
    dump(make(marker), body / "model_head.pkl")
    with pytest.raises(CheckpointError, match=r"model_head\.pkl: (holds|could not be read)"):
        load_classifier(body)
    assert not marker.exists()
    joblib.load(body / "model_head.pkl")
    assert marker.exists()  # the file is hostile indeed


NAMED = b"csklearn.linear_model._logistic\nLogisticRegression\n"


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b'cbuiltins\neval\n(S\'open("ran", "w")\'\ntR.',
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\ttouch ran\x85R.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\nS'touch ran'\no.",
        b"\x80\x02\x82\x01.",  # an extension of copyreg
        b"Pname\n.",  # a persistent id
        NAMED + b"(dS'find_class'\ncos\nsystem\nsb.",
        NAMED + b"N(S'__init__'\nNtb.",
        NAMED + b".",
        NAMED + b"(tR.",
        NAMED + b"(tR(dS'coef_'\nI1\nsb.",
        b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n(tR(dS'shape'\n(I9999999999\ntsS'dtype'\nNsb.",
        b"N.",
        b"",
        b"\x80",
        b"(" * 5000,
        b"not a pickle",
        b"\x78\x9c" + b"0" * 40,
    ],
)
def test_instructions_of_any_kind_run_nothing(
    body: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    (body / "model_head.pkl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model_head\.pkl"):
        load_classifier(body)
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "dump",
    [
        lambda head, path: path.write_bytes(pickle.dumps(head)),
        *(partial(joblib.dump, protocol=protocol) for protocol in (2, 3, 4, 5)),
    ],
)
def test_pickles_of_every_protocol_are_read(
    body: Path, texts: list[str], dump: Callable[[Any, Path], Any]
) -> None:
    head = add_head(body, texts, [0, 1, 2, 0, 1, 2, 2])
    head.coef_ = np.asfortranarray(head.coef_)
    dump(head, body / "model_head.pkl")
    weight = load_classifier(body).model.head.weight.detach().numpy()
    np.testing.assert_allclose(weight, head.coef_, rtol=1e-6)


def test_a_compressed_head_and_settings_of_another_kind_are_refused(body: Path, texts: list[str]) -> None:
    head = add_head(body, texts, [0, 1, 2, 0, 1, 2, 2])
    (body / "config_setfit.json").write_text('["a"]')
    with pytest.raises(CheckpointError, match=r"config_setfit\.json: write an object such as"):
        load_classifier(body)
    joblib.dump(head, body / "model_head.pkl", compress=3)
    with pytest.raises(
        CheckpointError, match=r"model_head\.pkl: could not be read \(damaged, compressed or no"
    ):
        load_classifier(body)


def test_a_damaged_head_is_refused(body: Path, texts: list[str]) -> None:
    add_head(body, texts, [0, 1, 2, 0, 1, 2, 2])
    path = body / "model_head.pkl"
    whole = path.read_bytes()
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match="model_head"):
            load_classifier(body)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a"], "labels are ['a'], but the head has the classes [0, 1, 2]"),
        ("abc", "labels are abc, but the head"),
    ],
)
def test_labels_that_do_not_fit_the_head_are_refused(
    body: Path, texts: list[str], labels: Any, words: str
) -> None:
    add_head(body, texts, [0, 1, 2, 0, 1, 2, 2], labels=labels)
    with pytest.raises(CheckpointError, match=re.escape(words)):
        load_classifier(body)


def test_an_encoder_that_does_not_fit_the_head_is_refused(body: Path, texts: list[str]) -> None:
    add_head(body, texts, [0, 1, 2, 0, 1, 2, 2])
    (body / "modules.json").rename(body / "other.json")
    with pytest.raises(
        CheckpointError, match="a SetFit head on an encoder with no sentence-transformers files"
    ):
        load_classifier(body)
    (body / "other.json").rename(body / "modules.json")
    path = body / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "truncate_dim": 8}))
    with pytest.raises(CheckpointError, match="a SetFit head on an encoder with truncated vectors"):
        load_classifier(body)
    shutil.rmtree(body)
