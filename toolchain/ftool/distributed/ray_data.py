"""Answer texts of a Ray Data dataset, wherever its rows come from and go to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import ftool_runtime as ft
from ftool.distributed.scorer import answer_rows
from ftool_runtime.errors import InputError
from ftool_runtime.text.files import Columns
from ftool_runtime.text.input_rows import input_rows
from ftool_runtime.tools.options import input_columns


class Answers:
    """A callable for `map_batches` of a Ray Data dataset, which adds answers to each batch.

    dataset.map_batches(
        Answers,
        fn_constructor_kwargs={"bundle": "models/bank/bundle"},
        compute=ray.data.ActorPoolStrategy(size=8),
        batch_size=1024,
        num_cpus=1,
    )

    A batch gets the columns `answer`, the answer as JSON, and `problem`, why a row has none. Both are null for an empty
    text. The batches are the dataset's, so in fp32 the last digits of scores can differ from those of
    `ftool predict`, which cuts batches of its own.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        *,
        column: Columns | None = None,
        threads: int = 1,
        **options: Any,
    ) -> None:
        """Load the bundle.

        Args:
            bundle: the folder of the bundle, at this path on every node.
            column: the column of the texts, or a mapping from each field of an input to its column; None for columns
                with the fields' own names.
            threads: the threads of the model: `num_cpus` of `map_batches`.
            options: options of a call of the model, such as `top_k=3`.

        Raises FtoolError if the bundle can't be loaded, or an option is wrong.
        """
        self._model = ft.load(Path(bundle), threads=threads)
        list(self._model.predict_batches([], **options))  # raises for a wrong option
        self._column = input_columns(self._model, ()) if column is None else column
        self._options = options

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return a batch, a dict of NumPy arrays by column, with two more columns.

        Raises InputError if the column of the texts is missing.
        """
        fields = {"text": self._column} if isinstance(self._column, str) else dict(self._column)
        if missing := [name for name in fields.values() if name not in batch]:
            raise InputError(
                f"the dataset has no column {missing[0]!r}; it has {', '.join(batch)}; give column=NAME"
            )
        cells = {field: batch[name].tolist() for field, name in fields.items()}
        given = (
            cells["text"]
            if isinstance(self._column, str)
            else [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
        )
        rows = list(input_rows(enumerate(given), "the batch")) if given else []
        answered = answer_rows(self._model, rows, "the batch", self._options)
        lines = answered.lines.splitlines()
        return {
            **batch,
            "answer": np.array([None if line == "null" else line for line in lines], dtype=object),
            "problem": np.array([answered.problems.get(place) for place in range(len(rows))], dtype=object),
        }
