"""Prompt lookup: guess the next tokens of an answer from its source or prompt, and check all guesses in one run.

If the last tokens of an answer also stand in the source or prompt, the tokens after them there are the guesses (prompt
lookup decoding, Saxena 2023, https://github.com/apoorvumang/prompt-lookup-decoding). One run of the decoder computes
the logits after every guess, and the answer keeps the guesses up to the first one that greedy search or the random draw
does not choose (speculative decoding, Leviathan et al. 2023, https://arxiv.org/abs/2211.17192).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from ftool_runtime.bundle.manifest import Precision
from ftool_runtime.decoding.config import GenerationConfig

_PAUSES: Final = (
    0,
    0,
    1,
    2,
    4,
    8,
)  # tokens without guesses, by the number of successive runs without a right guess


class PromptLookup:
    """Guesses the next tokens of one answer.

    A run with several tokens takes longer than a step, so wrong guesses cost time. The number of guesses therefore
    follows their success: if all guesses of a run are right, it doubles; otherwise it falls to the number of right
    guesses, but not below 1. While guesses fail again and again, there are pauses of up to 8 tokens without guesses.
    """

    def __init__(
        self, tokens: Iterable[int], most: int, longest_ngram: int, vocabulary: int, ends: Collection[int]
    ) -> None:
        """Prepare to guess.

        Args:
            tokens: the tokens of the source, if any, followed by those of the prompt or the decoder's start token.
            most: the largest number of guesses for one run.
            longest_ngram: the largest number of last tokens that are looked up.
            vocabulary: the number of token ids that the decoder knows; an encoder's other ids are not guessed.
            ends: the tokens that end an answer; nothing is guessed after them.
        """
        self._most = self._allowed = most
        self._failures = 0  # successive runs without a right guess, an index of `_PAUSES`
        self._pause = 0  # the number of tokens until the next guess
        self._longest_ngram = longest_ngram
        self._vocabulary = vocabulary
        self._ends = ends
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}  # the position after each n-gram's first occurrence
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """Add the next token."""
        end = len(self._tokens)
        for size in range(1, min(self._longest_ngram, end) + 1):
            self._after.setdefault(tuple(self._tokens[end - size :]), end)
        self._tokens.append(token)

    def guess(self, room: int) -> list[int]:
        """Return at most `room` guesses of the next tokens: those after the longest n-gram that occurred before."""
        if self._pause:
            self._pause -= 1
            return []
        end = len(self._tokens)
        for size in range(min(self._longest_ngram, end), 0, -1):
            start = self._after.get(tuple(self._tokens[end - size :]))
            if start is not None:
                return self._usable(self._tokens[start : start + min(self._allowed, room)])
        return []

    def learn(self, guesses: int, right: int) -> None:
        """Adapt the number of guesses to the result of a run: of `guesses` guesses, the first `right` were right."""
        if not guesses:
            return
        self._allowed = max(1, right) if right < guesses else min(self._most, 2 * self._allowed)
        self._failures = 0 if right else min(self._failures + 1, len(_PAUSES) - 1)
        self._pause = _PAUSES[self._failures]

    def _usable(self, tokens: list[int]) -> list[int]:
        """Return the tokens up to the first one that ends an answer, or before the first unknown one."""
        for place, token in enumerate(tokens):
            if token >= self._vocabulary:
                return tokens[:place]
            if token in self._ends:
                return tokens[: place + 1]
        return tokens


def lookup_of(
    config: GenerationConfig, source: Iterable[int], prompt: Sequence[int], vocabulary: int
) -> PromptLookup | None:
    """Return the guesses for one answer; None if `config` does not look up tokens.

    Args:
        config: the generation settings.
        source: the encoder's tokens; empty for a decoder without an encoder.
        prompt: the decoder's first tokens.
        vocabulary: the number of token ids that the decoder knows.
    """
    if not config.looks_up:
        return None
    most, longest = config.prompt_lookup_num_tokens, config.max_matching_ngram_size
    return PromptLookup([*source, *prompt], most, longest, vocabulary, config.eos_token_id)


def lookup_refusal(config: GenerationConfig, precision: Precision) -> str | None:
    """Return why a bundle with this precision can't look up tokens as `config` says; None if it can.

    In fp32, the logits of several tokens in one run are those of single steps, up to float32 rounding. In the other
    precisions, operators round activations to integers, which enlarges that rounding to differences of up to a percent.
    """
    if not config.prompt_lookup_num_tokens:
        return None
    asked = f"prompt_lookup_num_tokens={config.prompt_lookup_num_tokens}"
    if precision.rows_share_scale:
        return (
            f"{asked} is not possible with this {precision.name} bundle, in which inputs of one run would change each "
            "other's answers; remove it"
        )
    if precision.name == "fp32" or config.prompt_lookup_approximate:
        return None
    return (
        f"{asked} could change answers of this {precision.name} bundle, which rounds several tokens of one run "
        "differently from one token; set prompt_lookup_approximate=True to allow that, or remove it"
    )
