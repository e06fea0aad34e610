"""What owners hold, as a hash: the same for the same values, whatever they are called and whichever codec is around.

It reads every decoded byte, so only JSON reports and `compare` ask for it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

from golfbudget.artifact import Artifact
from golfbudget.formats import StoredTensor
from golfbudget.ledger import Entry, Ledger, Role, Span

#: Hex digits that are kept: 64 bits tell a model's tensors apart.
DIGITS = 16


def contents(artifact: Artifact, ledger: Ledger) -> dict[tuple[str, Role], str | None]:
    """A hash per owner and role: of its tensors (dtype, shape, bytes), or of all its decoded bytes where it has none.

    Names, headers and padding of a tensor are left out, and the order in which its parts are stored.  None where
    nothing is decoded, as for codec framing, and where values were not downloaded.
    """
    tensors = {tensor.name: tensor for tensor in artifact.tensors}
    at_hand = all(leaf.at_hand for leaf in artifact.leaves)
    rows: dict[tuple[str, Role], list[Entry]] = {}
    for entry in ledger.entries:
        rows.setdefault((entry.owner, entry.role), []).append(entry)
    return {key: _row(artifact, tensors, entries) if at_hand else None for key, entries in rows.items()}


def _row(artifact: Artifact, tensors: Mapping[str, StoredTensor], entries: list[Entry]) -> str | None:
    stored: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.tensor is not None:
            stored.setdefault(entry.tensor, []).append(entry)
    if not stored:
        places = _places(entries)
        return _hash(artifact, "bytes", places).hex()[:DIGITS] if any(len(span) for _, span in places) else None
    forms = {name: _form(own[0], tensors) for name, own in stored.items()}
    digests = {name: _hash(artifact, forms[name], _places(own)) for name, own in stored.items()}
    # Sorted, so that neither names nor the order in the file matter; but of two that are alike in form, a scale and an
    # offset say, it matters which is which.
    counts = Counter(forms.values())
    twins = [digests[name] for name in sorted(stored) if counts[forms[name]] > 1]
    return hashlib.sha256(b"".join([*sorted(digests.values()), *twins])).hexdigest()[:DIGITS]


def _form(entry: Entry, tensors: Mapping[str, StoredTensor]) -> str:
    """What says how bytes are to be read; strides only where they are not those of the shape."""
    tensor = tensors.get(entry.tensor or "")
    strides = "" if tensor is None or tensor.contiguous else f" strides {list(tensor.strides)}"
    return f"{entry.dtype} {None if entry.shape is None else list(entry.shape)}{strides}"


def _places(entries: list[Entry]) -> list[tuple[int, Span]]:
    return sorted((entry.leaf, entry.span) for entry in entries if entry.leaf is not None and entry.span is not None)


def _hash(artifact: Artifact, form: str, places: list[tuple[int, Span]]) -> bytes:
    made = hashlib.sha256(form.encode() + b"\0")
    for leaf, span in places:
        made.update(memoryview(artifact.leaves[leaf].data)[span.start : span.stop])
    return made.digest()
