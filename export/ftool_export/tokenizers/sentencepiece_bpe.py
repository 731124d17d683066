"""Convert a sentencepiece model of the BPE kind, such as Llama 2's tokenizer.model, by the scores of its pieces.

transformers ranks the merges of such a model by the numbers of the pieces. sentencepiece ranks them by their scores,
and Llama's pieces of several spaces have numbers among the first, but the lowest score: release 5.23 splits
"two  spaces" differently.
"""

from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, processors
from transformers.tokenization_utils_base import generate_merges

from ftool_export.tokenizers.texts import SENTENCES, TEXTS

_BPE = 2  # model_type in the file
_UNMERGED = (2, 3, 6)  # types of pieces that no merge makes: unknown, control, byte

# Texts on which a conversion must agree with the sentencepiece library: all that differs in white space.
STRICT_TEXTS = (
    *TEXTS,
    *SENTENCES,
    " one space before",
    "  two before and two after  ",
    *(f"a{' ' * count}b{' ' * (count + 1)}" for count in range(1, 36)),
    *(" " * count for count in (1, 2, 3, 17)),
    "\n\n\tif x:\n        return 12345.678e-9  # four  \n",
    "\u2581a\u2581\u2581b\u3000c\u200bd\ufeff",
    "<0x41> a<0x41>b \x01 \U0001f9ff\U00020000",
)


def converted_by_scores(tokenizer: Any, model: Path, *, begins: bool) -> Tokenizer | None:
    """Return a tokenizer with the vocabulary, merges and normalisation of the file `model`; None if that is not BPE.

    Special tokens are those of `tokenizer`, which transformers made from the file. What is put around a text is too,
    unless `begins` is set: a text then begins with the beginning token of `tokenizer`, if that has one. A word after a
    special token within a text begins anew, as in Llama 2's own tokenizer.json.
    """
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(model.read_bytes())
    trained, backend = proto.trainer_spec, Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    if trained.model_type != _BPE or not isinstance(backend.model, models.BPE):
        return None
    vocabulary = {piece.piece: number for number, piece in enumerate(proto.pieces)}
    scores = {piece.piece: piece.score for piece in proto.pieces}
    fixed = [piece.piece for piece in proto.pieces if piece.type in _UNMERGED]
    backend.model = models.BPE(
        vocab=vocabulary,
        merges=generate_merges(vocabulary, scores, fixed),
        unk_token=trained.unk_piece,
        fuse_unk=True,
        byte_fallback=trained.byte_fallback,
    )
    backend.normalizer = _normalizer(proto.normalizer_spec)
    backend.pre_tokenizer = None
    if begins and tokenizer.bos_token is not None:
        backend.post_processor = processors.TemplateProcessing(
            single=f"{tokenizer.bos_token} $A",
            pair=f"{tokenizer.bos_token} $A {tokenizer.bos_token}:1 $B:1",
            special_tokens=[(tokenizer.bos_token, tokenizer.bos_token_id)],
        )
    return backend


def _normalizer(spec: Any) -> Any:
    """Return the normaliser that a `normalizer_spec` describes."""
    steps: list[Any] = (
        [normalizers.Precompiled(spec.precompiled_charsmap)] if spec.precompiled_charsmap else []
    )
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex(r"\A +| +\z"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    if spec.add_dummy_prefix:
        steps.append(normalizers.Prepend(" "))
    if spec.escape_whitespaces:
        steps.append(normalizers.Replace(" ", "▁"))
    return normalizers.Sequence(steps)
