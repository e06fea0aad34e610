"""Tensors that are more than a window on a storage, dtypes that few know, and TorchScript: torch writes each file."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable

import pytest
import torch
from support.blobs import archive, at_w, opened, pickled_tensor, pickled_tensor_v3, saved
from torch import Tensor, nn

from golfbudget.artifact import Artifact
from golfbudget.errors import GolfbudgetError, LedgerError, UnsupportedError
from golfbudget.ledger import Account, Role
from golfbudget.roles import assign, load_roles

pytestmark = pytest.mark.filterwarnings("ignore")


class Packed(Tensor):
    """A wrapper subclass as torchao's are: quantised data and scales, and a shape that neither has."""

    qdata: Tensor
    scale: Tensor
    block_size: list[int]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, _func: object, _types: object, args: tuple[object, ...] = (), _kwargs: object = None
    ) -> object:
        return args[0]


def packed() -> Packed:
    made = Tensor._make_wrapper_subclass(Packed, (4, 6), dtype=torch.bfloat16)
    made.qdata, made.scale = torch.arange(12, dtype=torch.uint8).view(4, 3), torch.rand(4)
    made.block_size = [1, 6]
    return made


def per_channel(dtype: torch.dtype) -> Tensor:
    return torch.quantize_per_channel(torch.randn(4, 6), torch.rand(4), torch.zeros(4), 0, dtype)


def with_attribute() -> nn.Parameter:
    made = nn.Parameter(torch.randn(2))
    vars(made)["extra"] = torch.ones(3)
    return made


W = (4, 6)
#: What torch saves at `w`; the stored tensors with dtypes and shapes; the outer shape where one is stated.
CASES: dict[str, tuple[Callable[[], object], dict[str, tuple[str, tuple[int, ...]]], tuple[int, ...] | None]] = {
    "one scale": (lambda: torch.quantize_per_tensor(torch.randn(W), 0.1, 3, torch.qint8), {"w": ("int8", W)}, None),
    "of 32 bits": (lambda: torch.quantize_per_tensor(torch.randn(W), 0.1, 3, torch.qint32), {"w": ("int32", W)}, None),
    "by channel": (
        lambda: per_channel(torch.quint8),
        {"w": ("uint8", W), "w/scales": ("float32", (4,)), "w/zero_points": ("float32", (4,))},
        None,
    ),
    "two a byte": (
        lambda: per_channel(torch.quint4x2),
        {"w": ("uint4", W), "w/scales": ("float32", (4,)), "w/zero_points": ("float32", (4,))},
        None,
    ),
    "COO": (
        lambda: torch.eye(4, 6).to_sparse(),
        {"w/indices": ("int64", (2, 4)), "w/values": ("float32", (4,))},
        W,
    ),
    "CSR": (
        lambda: torch.eye(4, 6).to_sparse_csr(),
        {"w/crow_indices": ("int64", (5,)), "w/col_indices": ("int64", (4,)), "w/values": ("float32", (4,))},
        W,
    ),
    "CSC": (
        lambda: torch.eye(4, 6).to_sparse_csc(),
        {"w/ccol_indices": ("int64", (7,)), "w/row_indices": ("int64", (4,)), "w/values": ("float32", (4,))},
        W,
    ),
    "nested": (
        lambda: torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)]),
        {
            "w/values": ("float32", (18,)),
            "w/sizes": ("int64", (2, 2)),
            "w/strides": ("int64", (2, 2)),
            "w/storage_offsets": ("int64", (2,)),
        },
        None,
    ),
    "meta": (lambda: torch.empty(W, device="meta"), {}, W),
    "complex32": (lambda: torch.zeros(W, dtype=torch.complex32), {"w": ("complex32", W)}, None),
    "wrapped": (packed, {"w/qdata": ("uint8", (4, 3)), "w/scale": ("float32", (4,))}, W),
    "wrapped parameter": (
        lambda: nn.Parameter(packed(), requires_grad=False),
        {"w/qdata": ("uint8", (4, 3)), "w/scale": ("float32", (4,))},
        W,
    ),
    "attributes": (with_attribute, {"w": ("float32", (2,)), "w/extra": ("float32", (3,))}, None),
}


def stored(artifact: Artifact) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {tensor.name: (tensor.dtype, tensor.shape) for tensor in artifact.tensors}


def legacy(value: object) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


@pytest.mark.parametrize("write", [saved, legacy])
@pytest.mark.parametrize("name", CASES)
def test_parts_are_tensors_under_the_name(name: str, write: Callable[[object], bytes]) -> None:
    make, expected, outer = CASES[name]
    artifact = opened(write({"w": make(), "other": torch.ones(5)}))
    assert stored(artifact) == expected | {"other": ("float32", (5,))}
    assert dict(artifact.outer_shapes) == ({} if outer is None else {"w": outer})
    assert all(part.account is not Account.UNMAPPED for part in artifact.parts)
    assert bool(artifact.notes) == (name == "meta")


def test_elements_are_torchs_own_bytes() -> None:
    value = per_channel(torch.quint4x2)
    data = saved({"w": value})
    (tensor,) = (t for t in opened(data).tensors if t.name == "w")
    assert tensor.offset is not None
    content = data[tensor.offset : tensor.offset + tensor.stored_bytes]
    assert content == bytes(value.untyped_storage().tolist())


def test_one_object_at_two_names_has_its_parts_at_both() -> None:
    value = packed()
    artifact = opened(saved({"w": value, "v": value}))
    assert {(t.name, t.aliases) for t in artifact.tensors} == {("w/qdata", ("v/qdata",)), ("w/scale", ("v/scale",))}
    assert dict(artifact.outer_shapes) == {"w": W, "v": W}


@pytest.mark.parametrize(
    ("value", "dtype", "block"),
    [
        (pickled_tensor_v3("int7"), "int7", (1, 1)),
        (pickled_tensor_v3("posit8", b"K\x04\x85"), "posit8", (1, 1)),
        (pickled_tensor_v3("posit4", b"K\x08\x85"), "posit4", (2, 1)),
        (pickled_tensor(kind=b"ctorch\nPositStorage\n"), "PositStorage", (1, 4)),
    ],
)
def test_a_dtype_that_is_not_known_is_as_wide_as_its_storage_says(
    value: bytes, dtype: str, block: tuple[int, int]
) -> None:
    artifact = opened(archive(at_w(value), {"0": b"abcd"}))
    (tensor,) = artifact.tensors
    assert (tensor.name, tensor.dtype, tensor.block, tensor.stored_bytes) == ("w", dtype, block, 4)
    assert bool(artifact.notes) == (dtype != "int7")


def test_a_storage_of_no_width_is_owned_and_noted() -> None:
    artifact = opened(archive(at_w(pickled_tensor_v3("posit9", b"K\x03\x85")), {"0": b"abcd"}))
    assert artifact.tensors == ()
    assert [part.name for part in artifact.parts if part.account is Account.UNMAPPED] == ["w"]
    assert artifact.notes == ("tensor 'w' has dtype 'posit9', which is not known; their bytes are not typed",)


def test_functions_that_nothing_knows_are_noted_and_those_that_run_are_refused() -> None:
    inner = pickled_tensor() + b"\x85R"
    artifact = opened(archive(at_w(b"cmy.models\nmake_weight\n" + inner), {"0": b"abcd"}))
    assert [tensor.name for tensor in artifact.tensors] == ["w/0"]
    assert artifact.notes == (
        "the pickle calls 'my.models.make_weight', not known here: kept as data, nothing was run",
    )
    for verb in (b"cmy.models\nload\n", b"cmy\nexec\n", b"cos\npopen\n"):
        with pytest.raises(UnsupportedError, match="would run"):
            opened(archive(at_w(verb + inner), {"0": b"abcd"}))


def test_checksums_that_were_not_computed_are_no_errors() -> None:
    torch.serialization.set_crc32_options(False)
    try:
        data = saved({"w": torch.ones(4)})
    finally:
        torch.serialization.set_crc32_options(True)
    assert stored(opened(data)) == {"w": ("float32", (4,))}


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.emb, self.sub = nn.Embedding(16, 4), nn.Sequential(nn.Linear(4, 4))
        self.sizes = [1, 2]

    def forward(self, ids: Tensor) -> Tensor:
        return self.sub(self.emb(ids)) + torch.tensor([1.0, 2.0, 3.0, 4.0])  # type: ignore[no-any-return]


def program(model: torch.jit.ScriptModule) -> bytes:
    out = io.BytesIO()
    torch.jit.save(model, out)
    return out.getvalue()


@pytest.mark.parametrize("traced", [False, True])
def test_a_torchscript_archive_has_the_names_of_its_state(traced: bool) -> None:  # noqa: FBT001
    model = Model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.trace(model, torch.zeros(1, 3, dtype=torch.long)) if traced else torch.jit.script(model)
        data = program(made)
    artifact = opened(data)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    constants = {t.name for t in artifact.tensors if t.name.startswith("constants")}
    assert {t.name: t.shape for t in artifact.tensors if t.name not in constants} == expected
    assert bool(constants) == traced
    assert "TorchScript" in artifact.notes[0]
    assert Role.CODE in artifact.contents.roles.values()


@pytest.mark.parametrize("name", [*CASES, "TorchScript"])
def test_changed_files_give_a_ledger_or_an_error(name: str) -> None:
    data = program(torch.jit.script(Model())) if name == "TorchScript" else saved({"w": CASES[name][0]()})
    start = data.index(b"\x80\x02")
    chance = random.Random(7)
    roles = load_roles()
    for _ in range(120):
        changed = bytearray(data)
        match chance.randrange(3):
            case 0:
                changed[start + chance.randrange(400)] = chance.randrange(256)
            case 1:
                del changed[chance.randrange(len(data)) :]
            case _:
                at = start + chance.randrange(400)
                changed[at : at + 4] = b"\xff\xff\xff\x7f"
        try:
            assign(opened(bytes(changed), "m.pt"), roles)
        except LedgerError:
            raise
        except GolfbudgetError as error:
            assert str(error).startswith("m.pt")  # noqa: PT017
