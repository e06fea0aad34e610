"""`plan --vocab` for people: figures of the vocabularies, every head scheme at each, and what follows."""

from __future__ import annotations

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from golfbudget.plan.vocabulary.results import VocabularyPlan
from golfbudget.report.tables import facts, printable, table
from golfbudget.report.vocabulary_rows import FIGURES, ROWS, answer, cells, conclusion, figures, heading, legend


def vocabulary_table(plan: VocabularyPlan) -> list[RenderableType]:
    """Renderables, top to bottom."""
    own = table(FIGURES)
    for vocabulary in plan.vocabularies:
        own.add_row(*map(printable, figures(plan, vocabulary)))
    made = table(ROWS, left=2)
    for number, vocabulary in enumerate(plan.vocabularies):
        if number:
            made.add_row()
        for row in vocabulary.rows:
            made.add_row(*map(printable, cells(plan, vocabulary, row)))
    parts: list[RenderableType] = [
        facts(heading(plan)),
        Text(),
        own,
        Text(),
        made,
        Text(),
        Text("\n".join(legend(plan))),
    ]
    parts += [Text(), Text("where restructuring starts to pay", style="bold")]
    lines = [*(answer(plan, vocabulary) for vocabulary in plan.vocabularies), *conclusion(plan)]
    return parts + [Padding(Text(f"- {printable(line)}"), (0, 0, 0, 2), expand=False) for line in lines]
