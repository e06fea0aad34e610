"""Pickles of hostile files: nothing is executed, changed or followed, whatever they ask for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy._core import numeric

from golfbudget.repacking import unpickle as module
from golfbudget.repacking.unpickle import NotCarriedError, PickledArray, Size, Storage, Window, unpickle

PROTOCOL = b"\x80\x02"


class Calls:
    """Pickles as a call of any function with any arguments, and a state after it."""

    def __init__(self, function: Callable[..., object], arguments: tuple[object, ...], state: object = None) -> None:
        self.made = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[object, ...]:
        return self.made


def name(of: str) -> bytes:
    where, _, what = of.rpartition(".")
    return b"c" + where.encode() + b"\n" + what.encode() + b"\n"


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


@pytest.mark.parametrize(
    "function",
    [
        "os.system",
        "posix.system",
        "builtins.eval",
        "builtins.getattr",
        "builtins.__import__",
        "subprocess.Popen",
        "torch.load",
        "numpy.load",
        "numpy.core.multiarray.fromfile",
        "numpy._core.numeric.os.system",
        "_codecs.lookup",
        "golfbudget.repacking.unpickle.import_module",
    ],
)
def test_no_other_name_is_called(function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "mark"
    for call in (b"(" + text(f"touch {mark}") + b"tR.", b"(" + text(f"touch {mark}") + b"t\x81."):
        with pytest.raises(NotCarriedError):
            unpickle(PROTOCOL + name(function) + call)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "target",
    ["torch._utils._rebuild_tensor_v2", "torch.Size", "collections.OrderedDict", "numpy.ndarray",
     "numpy._core.numeric._frombuffer", "numpy._core.multiarray._reconstruct", "_codecs.encode", "torch.float16"],
)  # fmt: skip
def test_no_attribute_of_a_stand_in_or_of_numpy_can_be_set(target: str) -> None:
    for state in (b"}" + text("mark") + text("x") + b"s", b"N}" + text("mark") + text("x") + b"s\x86"):
        with pytest.raises(NotCarriedError):
            unpickle(PROTOCOL + name(target) + state + b"b.")
    for thing in (
        module._tensor,
        module._bytes,
        module._from_buffer,
        module._reconstruct,
        Size,
        PickledArray,
        OrderedDict,
    ):
        assert not hasattr(thing, "mark")
    assert not hasattr(vars(numeric)["_frombuffer"], "mark")


@pytest.mark.parametrize("flags", [0, 1, 2, 63])
def test_a_dtype_that_makes_pointers_of_bytes_is_not_believed(flags: int) -> None:
    """Numpy itself would take the content for an object's address and follow it: in a process of its own."""
    fields = {"a": (np.dtype("O"), 0)}
    dtype = Calls(np.dtype, ("V8", False, True), (3, "|", None, ("a",), fields, 8, 1, flags))
    state = (1, (1,), dtype, False, b"AAAAAAAA")
    hostile = pickle.dumps(Calls(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), state), 2)
    code = (
        "import sys; from golfbudget.repacking.unpickle import NotCarriedError, unpickle\n"
        "try: unpickle(sys.stdin.buffer.read())\n"
        "except NotCarriedError: print('refused')"
    )
    folder = str(Path(module.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], input=hostile, capture_output=True, check=False, cwd=folder)
    assert (done.returncode, done.stdout.split()) == (0, [b"refused"]), done.stderr


@pytest.mark.parametrize(
    "hostile",
    [
        b"r\xff\xff\xff\x7f0N.",  # put at memo index 2**31
        b"\x8e" + (1 << 40).to_bytes(8, "little") + b"x.",  # a terabyte of bytes
        b"\x8a\x05\xff\xff\xff\xff\x7f.",
        b"(" * 5000 + b"t" * 5000 + b".",
        b"]" * 3000 + b"a" * 2999 + b".",
    ],
)
def test_sizes_that_a_file_names_are_not_allocated(hostile: bytes) -> None:
    """Each loads as a plain value or is refused, at once."""
    try:
        unpickle(b"\x80\x05" + b"N" * (hostile[:1] == b"r") + hostile)
    except NotCarriedError:
        return


def test_arrays_and_tensors_come_as_they_were_saved() -> None:
    for array in (np.arange(6, dtype="<i2").reshape(2, 3), np.ones((2, 2), ">f4"), np.asfortranarray(np.eye(3))):
        for protocol in range(2, 6):
            loaded = unpickle(pickle.dumps({"a": array}, protocol))
            assert isinstance(loaded, dict)
            again = loaded["a"].rebuilt()
            assert again.dtype == array.dtype
            assert np.array_equal(again, array)
    storage = Storage("FloatStorage", "0")
    assert isinstance(module._tensor(storage, 3, (2, 2), (2, 1)), Window)


@pytest.mark.parametrize(
    "arguments",
    [(b"", 0, (), ()), (Storage("FloatStorage", "0"), -1, (1,), (1,)), (Storage("FloatStorage", "0"), 0, (1.5,), (1,)),
     (Storage("FloatStorage", "0"), 0, (1, 1), (1,))],
)  # fmt: skip
def test_tensors_of_no_shape_are_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(NotCarriedError):
        module._tensor(*arguments)  # type: ignore[arg-type]
