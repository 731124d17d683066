"""Answer questions from documents, one per line: show the answer in its context, or the best passages.

python examples/documents/app.py kb.db
"""

import sys

from ftool_runtime import FtoolError
from ftool_runtime.knowledge import FoundAnswer, KnowledgeBase

AROUND = 80  # characters shown before and after an answer


def shown(base: KnowledgeBase, answer: FoundAnswer) -> str:
    """An answer as text: marked in its context, or the best passages if there is none."""
    if answer.text is None:
        title = "No answer; nearest:" if answer.read else "Nearest:"
        nearest = [f"  {passage.document}: {passage.text[:AROUND]!r}" for passage in answer.passages]
        return "\n".join([title, *nearest])
    assert answer.document is not None
    assert answer.start is not None
    text = base.text(answer.document)  # as indexed; answer.start and answer.end refer to it
    before = text[max(0, answer.start - AROUND) : answer.start]
    after = text[answer.end :][:AROUND]
    return f"{answer.document}: …{before}[{answer.text}]{after}…"


def main() -> int:
    """Open the knowledge base, then answer questions until the input ends."""
    try:
        base = KnowledgeBase.open(sys.argv[1])
    except FtoolError as error:
        print(error, file=sys.stderr)
        return 2
    with base:
        for question in filter(str.strip, sys.stdin):
            print(shown(base, base.ask(question.strip(), k=3)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
