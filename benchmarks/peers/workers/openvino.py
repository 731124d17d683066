"""A checkpoint in OpenVINO: in int8 of NNCF's post-training quantisation, or with the weights as they are.

The variants are "int8-bf16" and "int8-f32", which compute the parts outside int8 in bf16 or f32, and "bf16". Single
texts run with the performance hint LATENCY on all threads; many texts in asynchronous requests with the hint
THROUGHPUT.
"""

from pathlib import Path
from typing import Any

from benchmarks.peers.workers.inputs import (
    batches,
    copy_tokenizer,
    label_names,
    load_tokenizer,
    training_texts,
)
from ftool.bench.worker import Calls

VARIANTS = {"int8-bf16": ("int8.xml", "bf16"), "int8-f32": ("int8.xml", "f32"), "bf16": ("float.xml", "bf16")}
CALIBRATION = 300  # texts; NNCF's default for `subset_size`
BATCH_SIZE = 8  # of an asynchronous request; larger ones were not faster


def prepare(spec: dict[str, Any]) -> None:
    """Convert the checkpoint, and quantise it with training texts for calibration."""
    import nncf
    import numpy as np
    import openvino
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = Path(spec["folder"])
    model = AutoModelForSequenceClassification.from_pretrained(spec["checkpoint"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(spec["checkpoint"])
    example = dict(tokenizer(["one text", "another text that is longer"], padding=True, return_tensors="pt"))
    with torch.no_grad():
        graph = openvino.convert_model(model, example_input=example)
    openvino.save_model(graph, folder / "float.xml", compress_to_fp16=False)
    texts, _ = training_texts(spec)
    chosen = texts[:: max(1, len(texts) // CALIBRATION)][:CALIBRATION]
    rows = [
        {name: np.asarray(value) for name, value in tokenizer([text], return_tensors="np").items()}
        for text in chosen
    ]
    quantized = nncf.quantize(
        graph, nncf.Dataset(rows), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(rows)
    )
    openvino.save_model(quantized, folder / "int8.xml")
    copy_tokenizer(spec)


def load(spec: dict[str, Any]) -> Calls:
    """Load the variant's graph, and return the calls that are timed."""
    import numpy as np
    import openvino

    file, precision = VARIANTS[spec["variant"]]
    core, tokenizer, names = openvino.Core(), load_tokenizer(spec), label_names(spec)
    graph = core.read_model(Path(spec["folder"]) / file)
    queues: list[Any] = []

    def compiled(hint: str) -> Any:
        settings = {
            "PERFORMANCE_HINT": hint,
            "INFERENCE_NUM_THREADS": spec["threads"],
            "INFERENCE_PRECISION_HINT": precision,
        }
        return core.compile_model(graph, "CPU", settings)

    def inputs(texts: list[str]) -> dict[str, Any]:
        encodings = tokenizer.encode_batch(texts)
        longest = max(len(one.ids) for one in encodings)
        ids, mask = np.zeros((2, len(texts), longest), dtype=np.int64)  # BERT's padding is 0
        for row, one in enumerate(encodings):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}

    request = compiled("LATENCY").create_infer_request()

    def many(texts: list[str]) -> list[str]:
        found: dict[int, str] = {}

        def done(answered: Any, batch: list[int]) -> None:
            best = answered.get_output_tensor(0).data.argmax(-1)
            found.update((position, names[number]) for position, number in zip(batch, best, strict=True))

        if not queues:
            queues.append(openvino.AsyncInferQueue(compiled("THROUGHPUT")))
        queues[0].set_callback(done)
        for batch in batches(texts, BATCH_SIZE):
            queues[0].start_async(inputs([texts[position] for position in batch]), batch)
        queues[0].wait_all()
        return [found[position] for position in range(len(texts))]

    return Calls(
        one=lambda text: names[int(request.infer(inputs([text]))[0].argmax())], many=many, answers=many
    )
