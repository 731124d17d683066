"""Decoders in onnxruntime-genai."""

from typing import Any

PACKAGES = ("onnxruntime-genai", "onnxruntime")
NEW = 16  # tokens of an answer


def answers(bundle: str, task: str, inputs: list[Any], batch: int) -> Any:
    """Return the token ids of the greedy answers to `inputs`, by onnxruntime-genai's own tokenizer.

    Rows run singly, so `batch` must be 1.
    """
    import onnxruntime_genai as og

    assert (task, batch) == ("text-generation", 1)
    model = og.Model(bundle)
    tokenizer = og.Tokenizer(model)
    rows = []
    for text in inputs:
        prompt = [int(token) for token in tokenizer.encode(text)]
        settings = og.GeneratorParams(model)
        length = len(prompt) + NEW
        settings.set_search_options(min_length=length, max_length=length, do_sample=False)
        generator = og.Generator(model, settings)
        generator.append_tokens(prompt)
        while not generator.is_done():
            generator.generate_next_token()
        rows.append([int(token) for token in generator.get_sequence(0)][len(prompt) :])
    return rows
