"""Search your own documents, and find answers to questions in them.

One file holds the passages of all documents, a full-text index and embeddings.

from ftool_runtime.knowledge import KnowledgeBase

with KnowledgeBase.open("kb.db") as knowledge_base:
    print(knowledge_base.ask("How long are messages kept?").text)
"""

from ftool_runtime.ask_defaults import MODES
from ftool_runtime.knowledge.chosen_models import RECORDED
from ftool_runtime.knowledge.errors import KnowledgeBaseError
from ftool_runtime.knowledge.knowledge_base import KnowledgeBase, Mode
from ftool_runtime.knowledge.models import (
    BundledEmbedder,
    BundledReranker,
    Embedder,
    Kind,
    ReadAnswer,
    Reader,
    Reranker,
)
from ftool_runtime.knowledge.results import FoundAnswer, Passage

__all__ = [
    "MODES",
    "RECORDED",
    "BundledEmbedder",
    "BundledReranker",
    "Embedder",
    "FoundAnswer",
    "Kind",
    "KnowledgeBase",
    "KnowledgeBaseError",
    "Mode",
    "Passage",
    "ReadAnswer",
    "Reader",
    "Reranker",
]
