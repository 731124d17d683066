"""What the config.json and the model card of a sequence classifier say about its inputs and answers."""

from typing import Any, Final

from ftool_export.checkpoints.base import label_fields
from ftool_export.checkpoints.pretrained import read_card

MULTI_LABEL: Final = "multi_label_classification"
SINGLE_LABEL: Final = "single_label_classification"
_REGRESSION: Final = "regression"
_TAGS_OF_PAIRS: Final = {"text-ranking", "cross-encoder", "reranker"}  # on model cards
UNNAMED: Final = "LABEL_0"  # transformers' name for the first output if config.json names none


def name_numbers(config: Any) -> None:
    """Call the outputs of a regressor by their positions, "0", "1" and so on, if config.json does not name them."""
    names = {index: f"LABEL_{index}" for index in range(config.num_labels)}
    if config.problem_type == _REGRESSION and dict(config.id2label) == names:
        config.update(label_fields([str(index) for index in names]))


def answers_numbers(config: Any) -> bool:
    """Whether the outputs are numbers; otherwise they are the logits of labels.

    If config.json says that the type of problem is regression, they are numbers. The single output of a cross-encoder
    is a number too. So is any other single output that has no name, unless config.json says multi-label.
    """
    if config.num_labels != 1:
        return bool(config.problem_type == _REGRESSION)
    if _cross_encoder(config) is not None or config.problem_type == _REGRESSION:
        return True
    return bool(config.problem_type != MULTI_LABEL and config.id2label[0] == UNNAMED)


def reads_pairs(source: str, config: Any) -> bool | None:
    """Return whether a checkpoint that ftool did not train takes pairs of texts, or None if its files don't say.

    Cross-encoders, rerankers and NLI models take pairs.
    """
    names = {str(name).casefold() for name in (config.id2label or {}).values()}
    if _cross_encoder(config) is not None or "entailment" in names:
        return True
    card = read_card(source)
    tags = {*(card.get("tags") or ()), card.get("pipeline_tag")}
    return True if tags & _TAGS_OF_PAIRS else None


def ends_in_sigmoid(config: Any) -> bool:
    """Whether a regressor ends in a sigmoid: cross-encoders do, unless their config.json names another function."""
    activation = _cross_encoder(config)
    return activation is not None and activation.rsplit(".", 1)[-1] == "Sigmoid"


def _cross_encoder(config: Any) -> str | None:
    """Return the activation named in the config.json of a sentence-transformers CrossEncoder; None for other models."""
    written = getattr(config, "sentence_transformers", None)
    if isinstance(written, dict):
        return str(written.get("activation_fn", "Sigmoid" if config.num_labels == 1 else "Identity"))
    old = getattr(config, "sbert_ce_default_activation_function", None)
    return None if old is None else str(old)


def problem_type_of(*, multi_label: bool, regression: bool) -> str:
    """Return the type of problem that config.json names for a classifier or regressor."""
    return _REGRESSION if regression else MULTI_LABEL if multi_label else SINGLE_LABEL


def write_sigmoid(config: Any) -> None:
    """Say in a configuration, as sentence-transformers' CrossEncoder does, that the only output ends in a sigmoid."""
    config.sentence_transformers = {"activation_fn": "torch.nn.modules.activation.Sigmoid"}
