"""Adapters, as peft saves them (LoRA and its kind): find the base of an adapter folder, and merge the two.

An adapter folder holds adapter_config.json and the adapter's weights, and usually neither config.json nor a tokenizer:
these are the base's.
"""

import copy
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from ftool_export.checkpoints.files import find_file, first_line, quiet_transformers, read_json
from ftool_export.checkpoints.places import ADAPTER_FILE, is_adapter, require_checkpoint, require_place
from ftool_export.errors import CheckpointError
from ftool_export.networks.encoder import last_linear
from ftool_export.temporary import temporary_folder

_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."  # of the names of weights in the file
_WEIGHTS_OF_BASE = "model.safetensors"
_GENERATION = "generation_config.json"
_PROBE = 9  # tokens
_MERGE_TOLERANCE = 1e-4  # relative to the largest output: allows float32 rounding


class _Kind(NamedTuple):
    """What peft's name of a task stands for.

    Attributes:
        auto_class: the class of transformers.
        task: Hugging Face's name of the task; None if there are several.
        own_head: whether an adapter may have a head of its own.
        labelled: whether the outputs of that head have labels.
    """

    auto_class: Any
    task: str | None
    own_head: bool = False
    labelled: bool = False


_KINDS: Mapping[str, _Kind] = {  # by peft's name of the task
    "SEQ_CLS": _Kind(AutoModelForSequenceClassification, "text-classification", own_head=True, labelled=True),
    "TOKEN_CLS": _Kind(AutoModelForTokenClassification, "token-classification", own_head=True, labelled=True),
    "QUESTION_ANS": _Kind(AutoModelForQuestionAnswering, "question-answering", own_head=True),
    "CAUSAL_LM": _Kind(AutoModelForCausalLM, "text-generation"),
    "SEQ_2_SEQ_LM": _Kind(AutoModelForSeq2SeqLM, None),  # summarization or translation
    "FEATURE_EXTRACTION": _Kind(AutoModel, "feature-extraction"),
}


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """An adapter folder.

    Attributes:
        source: the adapter's folder or hub id.
        base: the folder or hub id of the base.
        kind: peft's name of the adapter's kind, such as "LORA".
        peft_task: peft's name of the task, such as "SEQ_CLS"; None if the adapter does not say.
    """

    source: str
    base: str
    kind: str
    peft_task: str | None

    @property
    def task(self) -> str | None:
        """Hugging Face's name of the task; None if the adapter does not say."""
        kind = _KINDS.get(self.peft_task or "")
        return None if kind is None else kind.task

    def weights(self) -> dict[str, Tensor]:
        """Read the adapter's weights. Raises CheckpointError if they are missing, damaged or pickled."""
        path = find_file(self.source, _WEIGHTS)
        if path is None:
            raise CheckpointError(
                f"{self.source}: {_WEIGHTS} is missing; save the adapter with save_pretrained (other weight files are "
                "not read, because unpickling them can run code)"
            )
        try:
            return dict(load_file(path))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: could not be read ({first_line(error)})") from error

    def fit(self, config: Any) -> int | None:
        """Give the base's configuration as many labels and tokens as the adapter's own weights have.

        Labels keep their names if their number stays the same. Returns the number of outputs of the adapter's own head
        for labels; None if it has none.
        """
        kind = _KINDS.get(self.peft_task or "")
        if kind is None:
            return None
        saved = self.weights()
        with torch.device("meta"):
            network = kind.auto_class.from_config(config)
        names = {module: f"{_PREFIX}{name}.weight" for name, module in network.named_modules()}
        table = saved.get(names[network.get_input_embeddings()])
        if table is not None:
            config.vocab_size = table.shape[0]
        if not kind.own_head:
            return None
        head = saved.get(names[last_linear(network, config.num_labels)])
        if head is None:
            return None
        if head.shape[0] != config.num_labels:
            config.num_labels = head.shape[0]
        return int(head.shape[0]) if kind.labelled else None


def read_adapter(source: str) -> Adapter | None:
    """Return the adapter in a folder or hub id; None if there is none.

    Raises CheckpointError if there is nothing, the adapter does not name its base, or the base can't be found.
    """
    require_place(source)
    if not is_adapter(source):
        return None
    settings = read_json(source, ADAPTER_FILE)
    named = settings.get("base_model_name_or_path") if isinstance(settings, dict) else None
    remedy = f"write its folder or hub id as base_model_name_or_path into {source}/{ADAPTER_FILE}"
    if not isinstance(named, str) or not named:
        raise CheckpointError(
            f"{source}: an adapter that does not name the model it was trained on; {remedy}"
        )
    beside = Path(source) / named
    base = str(beside) if beside.is_dir() else named
    try:
        require_checkpoint(base)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: the adapter's base can't be read; {remedy} ({error})") from error
    if is_adapter(base):
        raise CheckpointError(
            f"{source}: the adapter's base {base} is an adapter too; merge that one first, and {remedy}"
        )
    kind, task = settings.get("peft_type"), settings.get("task_type")
    if not isinstance(kind, str):
        raise CheckpointError(
            f"{source}: {ADAPTER_FILE} does not say what kind of adapter it is (peft_type is {kind!r}); save it with "
            "peft's save_pretrained"
        )
    return Adapter(
        source=source,
        base=base,
        kind=kind,
        peft_task=None if task is None else str(task).rsplit(".", 1)[-1],
    )


def holder(source: str, *names: str) -> str:
    """Return the folder or hub id that holds the files `names` of a checkpoint: for most adapters that of the base."""
    adapter = read_adapter(source)
    if adapter is None or any(find_file(source, name) is not None for name in names):
        return source
    return adapter.base


@contextmanager
def merged_weights(
    adapter: Adapter, auto_class: Any, config: Any, load: Callable[..., tuple[nn.Module, Any]]
) -> Iterator[str]:
    """Merge an adapter into its base in a `with` block; give a folder with the merged weights.

    Weights that neither the base nor the adapter has are left out of the folder.

    Args:
        adapter: the adapter.
        auto_class: the class of transformers to use if the adapter does not say its task.
        config: the checkpoint's configuration.
        load: reads the base: (auto_class, source, config) -> (network, info of loading).

    Raises:
        CheckpointError: the adapter is of a kind that can't be merged or does not fit its base, or the merge changes
            the outputs.
    """
    saved, config = adapter.weights(), copy.deepcopy(config)
    adapter.fit(config)
    kind = _KINDS.get(adapter.peft_task or "")
    own = auto_class if kind is None else kind.auto_class
    if own is AutoModel and issubclass(auto_class, PreTrainedModel):  # the encoder alone, as of a T5
        own = auto_class
    network, info = load(own, adapter.base, config)
    network, _ = merge(_adapted(adapter, network, saved), _probe)
    fresh = {*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])}
    missing = {name for name in fresh if f"{_PREFIX}{name}" not in saved}
    weights = {
        name: value.contiguous().clone()
        for name, value in network.state_dict().items()
        if name not in missing
    }
    with temporary_folder() as folder:
        save_file(weights, folder / _WEIGHTS_OF_BASE, metadata={"format": "pt"})
        settings = find_file(adapter.base, _GENERATION)
        if settings is not None:
            shutil.copy(settings, folder / _GENERATION)
        yield str(folder)


def merge(adapted: Any, outputs: Callable[[nn.Module], Tensor]) -> tuple[nn.Module, float]:
    """Return a network with its adapters merged into its weights, and the largest change of the outputs.

    `outputs` runs a network on a few inputs and returns its outputs. Raises CheckpointError if the merge changes the
    outputs beyond rounding.
    """
    before = _evaluated(adapted, outputs)
    network: nn.Module = adapted.merge_and_unload()
    after = _evaluated(network, outputs)
    difference = float((after - before).abs().max())
    if not difference <= _MERGE_TOLERANCE * max(1.0, float(before.abs().max())):
        raise CheckpointError(f"merging the adapters changed outputs by {difference:.2g}; please report this")
    return network, difference


def _evaluated(network: nn.Module, outputs: Callable[[nn.Module], Tensor]) -> Tensor:
    network.eval()
    with torch.inference_mode():
        return outputs(network).clone()


def _adapted(adapter: Adapter, network: nn.Module, saved: dict[str, Tensor]) -> Any:
    """Return the base with the adapter on it. Raises CheckpointError if the adapter can't be merged or does not fit."""
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict

    path = find_file(adapter.source, ADAPTER_FILE)
    assert path is not None, "it was read before"
    try:
        with quiet_transformers():
            settings = PeftConfig.from_pretrained(str(path.parent))
            if settings.is_prompt_learning:
                raise CheckpointError(
                    f"{adapter.source}: its adapter is {adapter.kind}, which puts vectors before the text and can't be "
                    "merged into the base; train a LoRA adapter"
                )
            adapted = get_peft_model(network, settings)
            result = set_peft_model_state_dict(adapted, saved)
    except (ValueError, TypeError, KeyError, RuntimeError, NotImplementedError) as error:
        raise CheckpointError(
            f"{adapter.source}: the adapter does not fit its base {adapter.base} ({first_line(error)})"
        ) from error
    own = adapted.base_model.prefix  # of the names of the adapter's weights, such as "lora_"
    lost = [name for name in (*result.unexpected_keys, *result.missing_keys) if own in name]
    if lost:
        raise CheckpointError(
            f"{adapter.source}: the adapter does not fit its base {adapter.base}: {lost[0]} is in only one of the two"
        )
    if not hasattr(adapted, "merge_and_unload"):
        raise CheckpointError(
            f"{adapter.source}: its adapter is {adapter.kind}, which can't be merged into the base"
        )
    return adapted


def _probe(network: Any) -> Tensor:
    """Return a network's outputs for a few tokens."""
    ids = (torch.arange(_PROBE) * 7 + 1).remainder(network.config.vocab_size)[None, :]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if network.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids
    first: Tensor = network(**inputs, return_dict=True)[0]
    return first
