"""An encoder's checkpoint with all that an export or a run of it needs, whatever its task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ftool_export.networks.encoder import EncoderNetwork
from ftool_runtime.text.encode import Tokens


@dataclass(frozen=True, kw_only=True)
class LoadedEncoder:
    """A network in evaluation mode with its tokenizer and what else run/ records. Every task has its own below this."""

    model: EncoderNetwork
    tokenizer: Any  # a fast Hugging Face tokenizer
    max_length: int  # tokens, special ones included; longer texts are cut
    prefix: str = ""  # goes before every text
    base: str = ""  # what it was trained from
    licence: str | None = None  # of the base model
    training_sha256: str | None = None
    training_examples: int | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs that the tokenizer makes and the network takes."""
        return tuple(n for n in self.model.input_names if n in self.tokenizer.model_input_names)

    def rows(self, inputs: Sequence[Any]) -> list[list[Tokens]]:
        """The rows of each input, by transformers' own tokenizer.

        An input is what the runtime's model is called with: here a text, or a dict of "text" and "text_pair". Tasks
        that cut an input into windows give several rows for one.
        """
        texts = [given if isinstance(given, str) else given["text"] for given in inputs]
        pairs = [None if isinstance(given, str) else given.get("text_pair") for given in inputs]
        return [[row] for row in self.tokenize(texts, pairs)]

    def tokenize(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> list[Tokens]:
        """A row for each text, or text and pair, cut at max_length: the longer of two first."""
        if not texts:
            return []
        if pairs is None or all(pair is None for pair in pairs):
            return self._tokenize([self.prefix + text for text in texts])
        if any(pair is None for pair in pairs):
            raise ValueError("texts with and without a pair in one call")
        return self._tokenize([self.prefix + text for text in texts], list(pairs))

    def _tokenize(self, *texts: Sequence[Any]) -> list[Tokens]:
        encoded = self.tokenizer(*texts, padding=False, truncation=True, max_length=self.max_length)
        full = [row for row, ids in enumerate(encoded["input_ids"]) if len(ids) == self.max_length]
        again = [[column[row] for row in full] for column in texts]
        whole = self.tokenizer(*again, verbose=False)["input_ids"] if full else []
        cut = {row for row, ids in zip(full, whole, strict=True) if len(ids) > self.max_length}
        count = len(encoded["input_ids"])
        types = encoded["token_type_ids"] if "token_type_ids" in self.input_names else [None] * count
        return [
            Tokens(ids, type_ids, truncated=row in cut)
            for row, (ids, type_ids) in enumerate(zip(encoded["input_ids"], types, strict=True))
        ]

    def batch(self, rows: Sequence[Tokens]) -> dict[str, Tensor]:
        """What the network takes for `rows`: int64 (rows, longest) by name, padded on the right."""
        columns = {"input_ids": [row.ids for row in rows]}
        if "token_type_ids" in self.input_names:
            columns["token_type_ids"] = [row.type_ids or [] for row in rows]
        padded = self.tokenizer.pad(columns, padding_side="right", return_tensors="pt")
        return {name: padded[name] for name in self.input_names}

    def manifest_fields(self) -> dict[str, Any]:
        """What `Manifest` takes of the task: labels, or the contract of its kind of answers."""
        return {"labels": ()}

    def config_fields(self) -> dict[str, Any]:
        """What the bundle's config.json says of the task."""
        return {}


def all_rows(loaded: LoadedEncoder, inputs: Sequence[Any]) -> list[Tokens]:
    """The rows of all inputs, in order."""
    return [row for rows in loaded.rows(inputs) for row in rows]
