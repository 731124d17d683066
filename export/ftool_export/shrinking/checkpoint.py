"""Shrink a loaded checkpoint: cut its vocabulary, and check that a saved checkpoint is the network that was saved."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ftool_export.checkpoints.base import LoadedModel
from ftool_export.errors import CheckpointError
from ftool_export.shrinking.vocabulary import Content, Vocabulary
from ftool_export.tokenizers.source import tokenizer_text, with_backend

M = TypeVar("M", bound=LoadedModel)

_TOLERANCE: Final = 1e-5  # relative to the largest output; a layer in the wrong place changes 1e-1
_PROBED: Final = 16  # tokens


def read_vocabulary(loaded: LoadedModel) -> Vocabulary:
    """Return the vocabulary of a checkpoint's tokenizer.

    Raises CheckpointError if it can't be cut: the tokenizer is of another kind than WordPiece, BPE or Unigram, has
    tokens without embeddings, or selects languages by tokens.
    """
    if loaded.vocabulary is not None:
        raise CheckpointError(
            f"{loaded.base}: its tokenizer has tokens without embeddings, so its vocabulary can't be cut; leave "
            "--vocabulary out"
        )
    languages = getattr(loaded, "languages", None)
    if languages is not None and (languages.source_tokens or languages.target_tokens):
        raise CheckpointError(
            f"{loaded.base}: its tokenizer selects languages by tokens, so its vocabulary can't be cut; leave "
            "--vocabulary out"
        )
    content: Content = json.loads(tokenizer_text(loaded.tokenizer))
    return Vocabulary(content)


def always_kept(loaded: LoadedModel, vocabulary: Vocabulary) -> set[str]:
    """Return the tokens that a cut vocabulary must have: `Vocabulary.always`, and tokens that configurations name."""
    names = {number: token for token, number in vocabulary.tokens.items()}
    named = {names[number] for number in _named_ids(loaded) if number in names}
    return vocabulary.with_parts(vocabulary.always() | named)


def cut_vocabulary(loaded: M, vocabulary: Vocabulary, kept: Collection[str]) -> tuple[M, list[int]]:
    """Return the checkpoint with only the tokens `kept`, and the old id of each new id.

    The network is changed in place: rows of embeddings and of an output layer over the vocabulary are taken out. Raises
    CheckpointError if the tokenizer or the network can't be cut.
    """
    content, old = vocabulary.cut(kept)
    backend = Tokenizer.from_str(json.dumps(content, ensure_ascii=False))
    tokens, expected = backend.get_vocab(with_added_tokens=True), vocabulary.tokens
    if any(number >= len(old) or old[number] != expected[token] for token, number in tokens.items()):
        raise CheckpointError(
            f"{loaded.base}: the ids of its added tokens lie between those of other tokens, so its vocabulary can't be "
            "cut; leave --vocabulary out"
        )
    tokenizer = with_backend(loaded.tokenizer, backend)
    _renumber_configs(loaded, {number: place for place, number in enumerate(old)})
    _take_rows(loaded.pretrained, old)
    loaded.config.vocab_size = len(old)
    return replace(loaded, tokenizer=tokenizer), old


def check_saved(loaded: LoadedModel, saved: LoadedModel) -> None:
    """Compare a network with the one that its saved files give.

    Raises CheckpointError if weights or outputs differ, as for an architecture in which the place of a layer among all
    layers decides what it does.
    """
    mine, other = (one.pretrained.state_dict() for one in (loaded, saved))
    same = mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)
    first, second = (_probe(one) for one in (loaded, saved))
    if not same or (first - second).abs().max() > _TOLERANCE * first.abs().max():
        raise CheckpointError(
            f"{loaded.base}: a {loaded.config.model_type} with fewer layers or tokens gives other answers once it is "
            "saved and read, so it can't be shrunk in this way; keep all of its layers, or choose another model"
        )


def check_saved_tokenizer(loaded: LoadedModel, saved: LoadedModel) -> None:
    """Raise CheckpointError if the saved tokenizer of a cut vocabulary is read as another one."""
    if json.loads(tokenizer_text(loaded.tokenizer)) != json.loads(tokenizer_text(saved.tokenizer)):
        raise CheckpointError(
            f"{loaded.base}: transformers changes its tokenizer when it reads it; leave --vocabulary out"
        )


def _probe(loaded: LoadedModel) -> Tensor:
    """Return the network's outputs for a row of the first tokens."""
    ids = torch.arange(min(_PROBED, loaded.known_ids)).unsqueeze(0)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    network = loaded.model.eval()
    with torch.inference_mode():
        if loaded.family == "encoder":
            found: Tensor = network(**inputs)
            return found
        given = {"decoder_input_ids": ids} if loaded.family == "encoder-decoder" else {}
        logits: Tensor = network(**inputs, **given, use_cache=False).logits
        return logits


def _configs(loaded: LoadedModel) -> list[Any]:
    """Return the objects that name tokens by id: the configuration, its parts, and the settings of generation."""
    parts = [value for value in vars(loaded.config).values() if hasattr(value, "model_type")]
    generation = getattr(loaded.pretrained, "generation_config", None)
    return [loaded.config, *parts, *([] if generation is None else [generation])]


def _id_settings(config: Any) -> dict[str, Any]:
    """Return the settings of a configuration that hold token ids: a number, a list, or a list of lists."""
    return {
        name: value
        for name, value in vars(config).items()
        if value is not None
        and (name.endswith(("_token_id", "suppress_tokens", "bad_words_ids", "_decoder_ids")))
    }


def _named_ids(loaded: LoadedModel) -> set[int]:
    return {
        number
        for config in _configs(loaded)
        for value in _id_settings(config).values()
        for number in _flat(value)
    }


def _flat(value: Any) -> list[int]:
    return [number for one in value for number in _flat(one)] if isinstance(value, Sequence) else [int(value)]


def _renumber_configs(loaded: LoadedModel, new: Mapping[int, int]) -> None:
    """Set the new ids in all configurations; a setting whose token the tokenizer does not have becomes unset."""

    def renumbered(value: Any) -> Any:
        if isinstance(value, Sequence):
            return [renumbered(one) for one in value]
        return new.get(int(value))

    for config in _configs(loaded):
        for name, value in _id_settings(config).items():
            setattr(config, name, renumbered(value))


def _take_rows(network: Any, old: Sequence[int]) -> None:
    """Keep the rows `old` of the tables and output layers over the vocabulary, in place; tied ones stay tied."""
    outputs = network.get_output_embeddings()
    tables = [network.get_input_embeddings(), *([] if outputs is None else [outputs])]
    count = len(tables[0].weight)
    weights = {id(table.weight): nn.Parameter(table.weight.detach()[list(old)]) for table in tables}
    for module in list(network.modules()):
        if id(getattr(module, "weight", None)) not in weights:
            continue
        module.weight = weights[id(module.weight)]
        if isinstance(module, nn.Embedding):
            module.num_embeddings = len(old)
            if module.padding_idx is not None:
                module.padding_idx = old.index(module.padding_idx) if module.padding_idx in old else None
        else:
            module.out_features = len(old)
            if getattr(module, "bias", None) is not None:
                module.bias = nn.Parameter(module.bias.detach()[list(old)])
    biases = getattr(network, "final_logits_bias", None)  # (1, tokens), of BART and Marian
    if biases is not None and biases.shape[-1] == count:
        network.final_logits_bias = biases[:, list(old)]
