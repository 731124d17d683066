"""The row of feature extraction: vectors of texts, for search and similarity."""

from ftool.data.rows.similarity import SimilarityReader
from ftool.recipe.errors import RecipeError
from ftool.recipe.sections import Sections
from ftool.tasks.base import Task


def _check(recipe: Sections) -> None:
    if recipe.train.pooling == "pooler":
        raise RecipeError(f"train.pooling can't be pooler for {recipe.task}; use auto, mean, cls or last")


TASK = Task(
    name="feature-extraction",
    reader=SimilarityReader,
    settings=frozenset(
        {
            "data.anchor",
            "data.positive",
            "data.negative",
            "data.score",
            "data.query_prompt",
            "data.passage_prompt",
            "train.pooling",
            "train.loss",
            "train.metric",
        }
    ),
    defaults=lambda _: {"train.max_length": 128},
    check=_check,
    methods=("full", "lora"),
    metrics=(  # of scored pairs the default is spearman
        "mrr_at_10",
        "ndcg_at_10",
        "recall_at_1",
        "recall_at_5",
        "recall_at_10",
        "hit_at_5",
        "spearman",
        "pearson",
    ),
    implementation="ftool.tasks.embedding_work",
)
