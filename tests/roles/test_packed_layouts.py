"""Packed weights are read right: whose every tensor is, what it is for, and how many parameters it holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.packed_checkpoints import LAYOUTS, Checkpoint

import golfbudget as gb
from golfbudget.api.inspect import InspectResult
from golfbudget.ledger import Role


@pytest.fixture(params=LAYOUTS)
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Checkpoint, InspectResult]:
    torch.manual_seed(0)
    checkpoint = LAYOUTS[request.param].build()
    return checkpoint, gb.inspect(checkpoint.write(tmp_path / "model"))


def test_parameters_are_those_of_the_model(packed: tuple[Checkpoint, InspectResult]) -> None:
    checkpoint, found = packed
    by_owner: dict[str, int] = {}
    for entry in found.ledger.entries:
        if entry.parameters:
            by_owner[entry.owner] = by_owner.get(entry.owner, 0) + entry.parameters
    assert by_owner == checkpoint.by_owner
    assert found.parameters == checkpoint.parameters


def test_every_tensor_has_its_owner_and_account(packed: tuple[Checkpoint, InspectResult]) -> None:
    checkpoint, found = packed
    told = {entry.tensor: (entry.owner, entry.account) for entry in found.ledger.entries if entry.tensor is not None}
    assert told == {name: (stored.owner, stored.account) for name, stored in checkpoint.stored.items()}


def test_head_and_input_table_are_found(packed: tuple[Checkpoint, InspectResult]) -> None:
    checkpoint, found = packed
    assert found.tied is checkpoint.tied
    matrices = {entry.owner: entry.role for entry in found.ledger.entries if entry.parameters}
    expected = {checkpoint.table: Role.EMBEDDING, checkpoint.head: Role.HEAD}
    assert {owner: role for owner, role in matrices.items() if role in (Role.HEAD, Role.EMBEDDING)} == expected


def test_a_packed_matrix_is_charged_with_its_scales(packed: tuple[Checkpoint, InspectResult]) -> None:
    checkpoint, found = packed
    stored = sum(s.tensor.nbytes for s in checkpoint.stored.values() if s.owner == checkpoint.head)
    charged = sum(e.decoded_bytes for e in found.ledger.entries if e.owner == checkpoint.head and e.tensor is not None)
    assert charged == stored


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name.startswith("ct-")])
def test_packed_weights_of_an_unknown_type_are_counted(name: str, tmp_path: Path) -> None:
    file = LAYOUTS[name].build().write(tmp_path / "model") / "model.safetensors"
    data = file.read_bytes()
    header = int.from_bytes(data[:8], "little")
    changed = data[: 8 + header].replace(b'"dtype":"U8"', b'"dtype":"U9"').replace(b'"dtype":"I32"', b'"dtype":"I39"')
    file.write_bytes(changed + data[8 + header :])
    assert sum(entry.stored_bits for entry in gb.inspect(file.parent).ledger.entries) == 8 * len(data)
