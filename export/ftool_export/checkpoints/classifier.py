"""Text classifiers: create them on a base model, load and save checkpoints, compute logits and features."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification

from ftool_export.checkpoints.base import (
    label_fields,
    longest_input,
    origin_fields,
    read_facts,
    trained_length,
)
from ftool_export.checkpoints.classifier_config import (
    MULTI_LABEL,
    SINGLE_LABEL,
    UNNAMED,
    answers_numbers,
    ends_in_sigmoid,
    name_numbers,
    problem_type_of,
    reads_pairs,
)
from ftool_export.checkpoints.encoder import LoadedEncoder, all_rows, run_network
from ftool_export.checkpoints.output_labels import read_labelled_config, read_with_new_head
from ftool_export.checkpoints.pretrained import read_config, read_licence, require_task
from ftool_export.checkpoints.sentence_layout import SentenceLayout, read_head, read_layout, write_layout
from ftool_export.checkpoints.setfit import SetFitHead, read_setfit_head
from ftool_export.checkpoints.weights import read_trained, read_weights
from ftool_export.errors import CheckpointError
from ftool_export.networks.classifier import Pooling, SequenceClassifier
from ftool_export.networks.encoder import hidden_size
from ftool_export.tokenizers.source import read_tokenizer

log = logging.getLogger(__name__)

TASK = "text-classification"


@dataclass(frozen=True, kw_only=True)
class LoadedClassifier(LoadedEncoder):
    """The checkpoint of a text classifier, or of a regressor, whose answer is one number, or several with names."""

    task: str = TASK
    model: SequenceClassifier
    thresholds: tuple[float, ...] | None = None  # one per label, multi-label only
    none_below: float | None = None  # the fitted probability below which no label applies, single-label only
    pairs: bool | None = (
        False  # whether an input is two texts; None if the checkpoint does not say, and one is assumed
    )

    @property
    def has_tuned_numbers(self) -> bool:
        """Whether labels have thresholds."""
        return self.thresholds is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of the logits, or the names of a regressor's numbers; empty for one number."""
        return self.model.labels

    @property
    def multi_label(self) -> bool:
        """Whether a text may have any number of labels; otherwise it has exactly one."""
        return self.model.multi_label

    @property
    def regression(self) -> bool:
        """Whether the answer is one or several numbers instead of labels."""
        return self.model.regression

    def manifest_fields(self) -> dict[str, Any]:
        """Return the manifest's labels and thresholds, and its flags for pairs, multi-label and regression."""
        return {
            "labels": self.labels,
            "multi_label": self.multi_label,
            "thresholds": self.thresholds,
            "none_below": self.none_below,
            "pairs": bool(self.pairs),
            "regression": self.regression,
        }

    def config_fields(self) -> dict[str, Any]:
        """Return transformers' fields of config.json for the labels and the type of problem."""
        labels = self.labels or (UNNAMED,)
        kind = problem_type_of(multi_label=self.multi_label, regression=self.regression)
        return {**label_fields(labels), "problem_type": kind}

    def facts(self) -> dict[str, Any]:
        """Return the facts in `LoadedModel.facts`, and pooling, thresholds and whether inputs are pairs."""
        thresholds = None if self.thresholds is None else list(self.thresholds)
        return {
            **super().facts(),
            "pooling": self.model.pooling,
            "thresholds": thresholds,
            "none_below": self.none_below,
            "pairs": bool(self.pairs),
        }

    def save(self, folder: Path) -> None:
        """Write the classifier into the existing, empty `folder`, so that it loads without ftool.

        Encoder and tokenizer are written to `folder` itself, for AutoModel; pooling and head to subfolders, as
        sentence-transformers modules. If the pooling is "pooler", the encoder already contains its head, and
        AutoModelForSequenceClassification loads both. The model's `facts()` are stored under "ftool" in config.json.
        """
        super().save(folder)
        if self.model.pooled_head is not None:
            write_layout(
                folder,
                self.model.pooled_head,
                pooling=self.model.pooling,
                normalize=self.model.normalize,
                max_length=self.max_length,
                prefix=self.prefix,
            )


def create_classifier(
    base: str,
    labels: Sequence[str],
    *,
    multi_label: bool,
    regression: bool = False,
    pairs: bool = False,
    pooling: Pooling | Literal["auto"] = "auto",
    max_length: int | None = None,
    exact_length: bool = False,
    base_name: str | None = None,
) -> LoadedClassifier:
    """Create a classifier with a new head on the encoder of a checkpoint.

    Args:
        base: a checkpoint folder or hub id.
        labels: the labels, or the names of the numbers, in the order of the outputs; empty for a single number.
        multi_label: whether a text may have any number of labels.
        regression: whether the answer is numbers instead of labels.
        pairs: whether an input is two texts.
        pooling: how token vectors become one vector. "auto" uses the pooling in the checkpoint's sentence-transformers
            files; without these files, "pooler" for a sequence classifier and "mean" for any other checkpoint.
        max_length: the largest number of tokens of an input, capped at the checkpoint's limit; None uses that limit.
        exact_length: whether to raise CheckpointError, instead of capping, if `max_length` exceeds the position table.
        base_name: the name to record as the model's base; None records `base`.

    Raises:
        CheckpointError: the checkpoint can't be read, has an unknown pooling, or too few positions for an exact length.
    """
    config, layout = read_config(base), read_layout(base)
    chosen = _choose_pooling(base, config, layout) if pooling == "auto" else pooling
    config.problem_type = problem_type_of(multi_label=multi_label, regression=regression)
    names = labels or (UNNAMED,)
    model, tokenizer = _with_new_head(base, config, layout, chosen, names), read_tokenizer(base, config)
    stated = None if layout is None else layout.max_length
    return LoadedClassifier(
        model=model,
        tokenizer=tokenizer,
        max_length=trained_length(
            base, model.encoder, tokenizer, max_length, exact=exact_length, stated=stated
        ),
        prefix="" if layout is None or pairs else layout.prefix,
        pairs=pairs,
        base=base_name or base,
        licence=read_licence(base),
    )


def load_classifier(source: str | Path, *, pairs: bool | None = None) -> LoadedClassifier:
    """Load a classifier from a run/ folder, or from any Hugging Face sequence classifier (a folder or hub id).

    `pairs` says whether an input is two texts; None leaves that to the checkpoint's files. Raises CheckpointError if
    there is no model, or the model has no trained head or no weights in safetensors files.
    """
    source = str(source)
    config, layout = read_labelled_config(source), read_layout(source)
    facts = read_facts(config)
    if not facts:
        name_numbers(config)
    setfit = None if facts else read_setfit_head(source)
    if pairs is None:
        pairs = facts["pairs"] if "pairs" in facts else reads_pairs(source, config)
    if layout is not None and layout.dense and "pooling" in facts:
        encoder, _ = read_weights(AutoModel, source, config)
        head = read_head(source, layout.dense[-1])
        if head.out_features != config.num_labels:
            raise CheckpointError(
                f"{source}: id2label in config.json has {config.num_labels} labels, but the head in "
                f"{layout.dense[-1]} has {head.out_features} outputs; train the model again"
            )
        model = _assemble(encoder, head, config, facts["pooling"], layout.normalize)
    elif setfit is not None:
        model = _with_setfit_head(source, config, layout, setfit)
    else:
        model = _load_own_head(source, config)
    tokenizer = read_tokenizer(source, config)
    thresholds = facts.get("thresholds")
    return LoadedClassifier(
        model=model,
        tokenizer=tokenizer,
        max_length=facts.get("max_length")
        or longest_input(model.encoder, tokenizer, None if layout is None else layout.max_length),
        prefix=facts.get("prefix", "" if layout is None else layout.prefix),
        thresholds=None if thresholds is None else tuple(thresholds),
        none_below=facts.get("none_below"),
        pairs=pairs,
        **origin_fields(facts, source),
    )


def compute_logits(loaded: LoadedClassifier, inputs: Sequence[Any]) -> NDArray[np.float32]:
    """Return the network's logits, float32 (inputs, labels), for texts or dicts of "text" and "text_pair"."""
    return run_network(loaded, all_rows(loaded, inputs), loaded.model.forward, loaded.model.width)


def compute_features(
    loaded: LoadedClassifier, inputs: Sequence[Any], *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the inputs of the classification head, float32 (inputs, hidden); written into `out` if given."""
    rows, width = all_rows(loaded, inputs), loaded.model.head.in_features
    return run_network(loaded, rows, loaded.model.features, width, out)


def _with_new_head(
    base: str, config: Any, layout: SentenceLayout | None, pooling: Pooling, labels: Sequence[str]
) -> SequenceClassifier:
    if pooling == "pooler":
        encoder = read_with_new_head(AutoModelForSequenceClassification, base, config, labels)
        return _assemble(encoder, None, encoder.config, pooling, normalize=False)
    config.update(label_fields(labels))
    encoder, _ = read_weights(AutoModel, base, config)
    head = _zero_head(hidden_size(config), config.num_labels)
    return _assemble(encoder, head, config, pooling, normalize=layout is not None and layout.normalize)


def _with_setfit_head(
    source: str, config: Any, layout: SentenceLayout | None, head: SetFitHead
) -> SequenceClassifier:
    if layout is None or layout.dense or layout.truncate_to is not None or layout.lower_case:
        raise CheckpointError(
            f"{source}: a SetFit head on an encoder with {_beside_pooling(layout)}, which a classifier's bundle can't "
            f"hold; train a new head: ftool train FOLDER --task {TASK} --base {source} …"
        )
    encoder: Any = read_weights(AutoModel, source, config)[0]
    if head.linear.in_features != hidden_size(config):
        raise CheckpointError(
            f"{source}: its SetFit head takes vectors of {head.linear.in_features} numbers, but its encoder gives "
            f"{hidden_size(config)}; these files don't belong together: fetch or write the checkpoint again"
        )
    encoder.config.update({**label_fields(head.labels), "problem_type": SINGLE_LABEL})
    pooling = _choose_pooling(source, config, layout)
    return _assemble(encoder, head.linear, encoder.config, pooling, layout.normalize or head.normalize)


def _beside_pooling(layout: SentenceLayout | None) -> str:
    if layout is None:
        return "no sentence-transformers files"
    found = {"a projection": layout.dense, "truncated vectors": layout.truncate_to is not None}
    return next((name for name, has in found.items() if has), "lower-casing of its own")


def _load_own_head(source: str, config: Any) -> SequenceClassifier:
    require_task(source, config, TASK)
    encoder = read_trained(AutoModelForSequenceClassification, source, config, TASK)
    return _assemble(encoder, None, config, "pooler", normalize=False)


def _assemble(
    encoder: nn.Module, head: nn.Linear | None, config: Any, pooling: Pooling, normalize: bool
) -> SequenceClassifier:
    if head is not None and isinstance(getattr(encoder, "pooler", None), nn.Module):
        # AutoModel expects the pooler in the file, but nothing reads its output, so it is not trained.
        encoder.pooler.requires_grad_(False)
    regression = answers_numbers(config)
    one_number = regression and config.num_labels == 1
    model = SequenceClassifier(
        encoder,
        head,
        labels=[] if one_number else [config.id2label[index] for index in range(config.num_labels)],
        # transformers' pipeline gives one output its sigmoid, whatever the type of problem
        multi_label=not regression and (config.problem_type == MULTI_LABEL or config.num_labels == 1),
        pooling=pooling,
        normalize=normalize,
        regression=regression,
        sigmoid=regression and ends_in_sigmoid(config),
    )
    return model.eval()


def _zero_head(hidden: int, labels: int) -> nn.Linear:
    """Return a classification head of zeros, which gives all labels the same score and needs no random numbers."""
    head = nn.Linear(hidden, labels)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _choose_pooling(base: str, config: Any, layout: SentenceLayout | None) -> Pooling:
    if layout is not None:
        if layout.dense:
            log.info(
                "%s: its projection (%s) is left out, because the head learns its own", base, layout.dense[0]
            )
        for known in ("mean", "cls"):
            if layout.pooling == known:
                return known
        raise CheckpointError(f"{base} pools by {layout.pooling!r}; set train.pooling to mean, cls or pooler")
    own_head = any(name.endswith("ForSequenceClassification") for name in config.architectures or ())
    return "pooler" if own_head else "mean"
