"""Cut the vocabulary of a tokenizer.json to the pieces that are needed, for WordPiece, BPE and Unigram.

Texts that consist of kept pieces are tokenised as before:

- WordPiece takes the longest piece that matches. Without pieces that a text does not have, the longest stays the same.
- BPE joins the pair of pieces with the best rank. A kept piece keeps every merge that makes it, and their parts, so a
  text that ends in kept pieces is joined in the same order.
- Unigram takes the pieces with the best sum of scores. Fewer pieces leave the best sum in place if its pieces stay.
  The piece with the lowest score stays too, because the score of unknown characters follows from it.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from ftool_export.errors import CheckpointError

Content = dict[str, Any]  # of a tokenizer.json

_BYTE: Final = re.compile(r"<0x[0-9A-F]{2}>")
_PLACEHOLDER: Final = re.compile(r"[\[<](unused|extra|reserved).*[\]>]")
_KINDS: Final = ("WordPiece", "BPE", "Unigram")


class Vocabulary:
    """The pieces of a tokenizer.json, and what each of them needs.

    Raises CheckpointError for a tokenizer of another kind than WordPiece, BPE or Unigram.
    """

    def __init__(self, content: Content) -> None:
        self._content = content
        self._model = content["model"]
        self.kind = self._model.get("type")
        if self.kind not in _KINDS:
            raise CheckpointError(
                f"the tokenizer is of the kind {self.kind}, whose vocabulary can't be cut ({', '.join(_KINDS)} can); "
                "leave --vocabulary out"
            )
        self.numbers = _numbers(self._model)
        self._added = {token["content"]: int(token["id"]) for token in content.get("added_tokens", [])}
        self._parts = self._merge_parts() if self.kind == "BPE" else {}

    @property
    def tokens(self) -> dict[str, int]:
        """The id of every token, added tokens included."""
        return {**self.numbers, **self._added}

    def always(self) -> set[str]:
        """Return the tokens that are always kept, so that every text can still be tokenised.

        They are the added tokens, the unknown token, single characters and bytes in each of their forms, and pieces
        with a character that is not a piece alone.
        """
        kept = {*self._added, *(piece for piece in self.numbers if self._is_basic(piece))}
        unknown = self._model.get("unk_token")
        if unknown is not None and unknown in self.numbers:
            kept.add(unknown)
        if self.kind == "Unigram":
            scored = self._model["vocab"]
            kept.add(min(scored, key=lambda pair: pair[1])[0])
            if self._model.get("unk_id") is not None:
                kept.add(scored[self._model["unk_id"]][0])
        return self.with_parts(kept)

    def with_parts(self, tokens: Iterable[str]) -> set[str]:
        """Return `tokens` and, for BPE, the pieces from which merges make them."""
        kept: set[str] = set()
        waiting = list(tokens)
        while waiting:
            token = waiting.pop()
            if token not in kept:
                kept.add(token)
                waiting += [part for pair in self._parts.get(token, ()) for part in pair]
        return kept

    def by_frequency(self) -> Iterator[str]:
        """Yield the pieces, those that are frequent in the texts that the tokenizer was learnt from first.

        Their order is that of ids for WordPiece and BPE, and that of scores, which are logarithms of probabilities, for
        Unigram. Placeholders such as BERT's [unused1] come last, because no text has them.
        """
        if self.kind == "Unigram":
            pieces = [piece for piece, _ in sorted(self._model["vocab"], key=lambda pair: -pair[1])]
        else:
            pieces = sorted(self.numbers, key=self.numbers.__getitem__)
        yield from sorted(pieces, key=lambda piece: bool(_PLACEHOLDER.fullmatch(piece)))

    def filled(self, needed: Collection[str], size: int) -> set[str]:
        """Return `needed` and the most frequent other pieces, at most `size` tokens in all."""
        kept = set(needed)
        for piece in self.by_frequency():
            if len(kept) >= size:
                break
            missing = self.with_parts([piece]) - kept
            if len(kept) + len(missing) <= size:
                kept |= missing
        return kept

    def cut(self, kept: Collection[str]) -> tuple[Content, list[int]]:
        """Return the tokenizer.json with only the tokens `kept`, and the old id of each new id.

        Tokens keep their order. `kept` must contain `always()` and be closed under `with_parts`.
        """
        tokens = self.tokens
        old = sorted({tokens[token] for token in kept})
        new = {number: place for place, number in enumerate(old)}
        content = copy.deepcopy({name: part for name, part in self._content.items() if name != "model"})
        content["model"] = self._cut_model(kept, new)
        content["truncation"] = content["padding"] = None
        for token in content.get("added_tokens", []):
            token["id"] = new[token["id"]]
        if content.get("post_processor"):
            content["post_processor"] = _renumbered(content["post_processor"], new)
        return content, old

    def _cut_model(self, kept: Collection[str], new: Mapping[int, int]) -> Content:
        model = {name: part for name, part in self._model.items() if name not in ("vocab", "merges")}
        if self.kind == "Unigram":
            model["vocab"] = [pair for pair in self._model["vocab"] if pair[0] in kept]
            if model.get("unk_id") is not None:
                model["unk_id"] = new[model["unk_id"]]
            return model
        model["vocab"] = {piece: new[number] for piece, number in self.numbers.items() if piece in kept}
        if self.kind == "BPE":
            model["merges"] = [
                merge
                for merge in self._model["merges"]
                if all(piece in kept for piece in (*_pair(merge), self._joined(*_pair(merge))))
            ]
        return model

    def _merge_parts(self) -> Mapping[str, list[tuple[str, str]]]:
        parts: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for merge in self._model["merges"]:
            first, second = _pair(merge)
            parts[self._joined(first, second)].append((first, second))
        return parts

    def _joined(self, first: str, second: str) -> str:
        return first + second.removeprefix(self._model.get("continuing_subword_prefix") or "")

    def _is_basic(self, piece: str) -> bool:
        forms = list(self._characters(piece))
        return (
            len(forms) <= 1 or bool(_BYTE.fullmatch(piece)) or any(one not in self.numbers for one in forms)
        )

    def _characters(self, piece: str) -> Iterator[str]:
        """Yield each character of a piece in the form that it has as a piece of its own."""
        before = self._model.get("continuing_subword_prefix") or ""
        after = self._model.get("end_of_word_suffix") or ""
        inside = bool(before) and piece.startswith(before)
        ends = bool(after) and piece.endswith(after)
        letters = piece.removeprefix(before) if inside else piece
        letters = letters.removesuffix(after) if ends else letters
        for place, letter in enumerate(letters):
            start = before if inside or place else ""
            yield f"{start}{letter}{after if ends and place == len(letters) - 1 else ''}"


def _numbers(model: Content) -> dict[str, int]:
    if isinstance(model["vocab"], dict):
        return {piece: int(number) for piece, number in model["vocab"].items()}
    return {piece: number for number, (piece, _) in enumerate(model["vocab"])}


def _pair(merge: str | list[str]) -> tuple[str, str]:
    """Return the parts of a merge: a list of two, or in older files a string with a space between them."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _renumbered(part: Any, new: Mapping[int, int]) -> Any:
    """Return a post-processor with new ids of its special tokens."""
    if not isinstance(part, dict):
        return part
    changed = dict(part)
    for name in ("sep", "cls"):
        if name in part:
            token, number = part[name]
            changed[name] = [token, new[number]]
    if "processors" in part:
        changed["processors"] = [_renumbered(one, new) for one in part["processors"]]
    if "special_tokens" in part:
        changed["special_tokens"] = {
            name: {**token, "ids": [new[number] for number in token["ids"]]}
            for name, token in part["special_tokens"].items()
        }
    return changed
