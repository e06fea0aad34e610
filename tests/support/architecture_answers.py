"""What `golfbudget inspect` says of models that `transformers` saved, against what the models say themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

import golfbudget as gb
from golfbudget.ledger import Role

#: Kinds of model, and the library's mapping from configurations to models of that kind.
KINDS = {
    "causal": "MODEL_FOR_CAUSAL_LM_MAPPING",
    "masked": "MODEL_FOR_MASKED_LM_MAPPING",
    "seq2seq": "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
}


class Answer(Struct, frozen=True, kw_only=True):
    """What a model says of itself; `head` and `embedding` are all names that its file has for the two matrices.

    `elements` are those of the file: parameters that are stored, and buffers, which a file cannot tell from them.
    """

    model: str
    parameters: int
    elements: int
    buffers: int
    head: tuple[str, ...]
    embedding: tuple[str, ...]
    tied: bool
    stated: bool | None


class Verdict(Struct, frozen=True, kw_only=True):
    """One model: what was answered, and what of it was found otherwise."""

    name: str
    answer: Answer
    tied: bool | None
    wrong: tuple[str, ...]


def compared(folder: Path) -> dict[str, list[Verdict]]:
    """Every model under KIND/NAME, inspected."""
    return {kind: [_verdict(path.parent) for path in sorted(folder.glob(f"{kind}/*/answer.json"))] for kind in KINDS}


def _verdict(folder: Path) -> Verdict:
    answer = msgspec.json.decode((folder / "answer.json").read_bytes(), type=Answer)
    found = gb.inspect(folder)
    roles: dict[Role, set[str]] = {}
    for entry in found.ledger.entries:
        if entry.tensor is not None and entry.parameters:
            roles.setdefault(entry.role, set()).add(entry.tensor)
    wrong = []
    if found.tied is not answer.tied:
        wrong.append(f"tied: {_word(found.tied)}, not {_word(answer.tied)}")
    if roles.get(Role.HEAD, set()).isdisjoint(answer.head):
        wrong.append(f"{answer.head[0]} is not the head")
    if set(answer.embedding).isdisjoint(answer.head) and roles.get(Role.EMBEDDING, set()).isdisjoint(answer.embedding):
        wrong.append(f"{answer.embedding[0]} is not the input table")
    if found.parameters not in (answer.parameters, answer.elements):
        wrong.append(f"{found.parameters:,} parameters, not {answer.parameters:,}")
    return Verdict(name=folder.name, answer=answer, tied=found.tied, wrong=tuple(wrong))


def _word(tied: bool | None) -> str:  # noqa: FBT001  (the only argument)
    return {True: "yes", False: "no", None: "not known"}[tied]


def page(verdicts: Mapping[str, Sequence[Verdict]], failed: Mapping[str, str], version: str) -> str:
    """The page of the documentation, which this makes whole."""
    lines = [
        "# Architectures that are read right",
        "",
        (
            f"Every language model of `transformers` {version}, built tiny and saved by the library itself.  "
            "`golfbudget inspect` is asked which tensor is the head, which is the input table, whether they are one, "
            "and how many parameters there are; the model object answers the same.  A file does not tell buffers from "
            "parameters, so either count is right.  `make architectures` asks again; "
            "`python tests/architectures.py` writes this page."
        ),
        "",
        "| kind | built | read right | tied | untied called tied |",
        "|:--|--:|--:|--:|--:|",
    ]
    for kind, of_kind in verdicts.items():
        right, tied = sum(not v.wrong for v in of_kind), sum(v.answer.tied for v in of_kind)
        false = sum(v.tied is True and not v.answer.tied for v in of_kind)
        lines.append(f"| {kind} | {len(of_kind)} | {right} | {tied} | {false} |")
    wrong = [(kind, v) for kind, of_kind in verdicts.items() for v in of_kind if v.wrong]
    lines += ["", "## Read otherwise", ""]
    lines += [f"- {kind} `{v.name}` ({v.answer.model}): {'; '.join(v.wrong)}" for kind, v in wrong] or ["None."]
    lines += ["", "## Not built", "", "The library cannot build these tiny from a configuration alone.", ""]
    lines += [f"- `{name}`" for name in failed] or ["None."]
    return "\n".join(lines) + "\n"
