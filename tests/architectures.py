"""Every architecture of `transformers`, tiny, saved as it saves them, beside what the model itself answers.

    python tests/architectures.py FOLDER    builds FOLDER/KIND/NAME and prints what could not be built
    python tests/architectures.py           builds in a temporary folder and writes docs/architectures.md

Each is built in a process of its own, which is stopped when it takes too long.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file
from support.architecture_answers import KINDS, Answer, compared, page
from support.shrinking import CUTS, OVERRIDES, merged, shrink
from torch import Tensor

_MOST_PARAMETERS = 40_000_000
_MOST_SECONDS = 30
PAGE = Path(__file__).parents[1] / "docs" / "architectures.md"


def build_all(folder: Path) -> dict[str, str]:
    """Build what can be built; `KIND/NAME` and the reason of what cannot."""
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    from transformers.models.auto import modeling_auto
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    failed = {}
    for kind, mapping in KINDS.items():
        known = getattr(modeling_auto, mapping)
        for config, model in known.items():
            made = model[0] if isinstance(model, tuple) else model
            name = f"{kind}/{config.model_type}"
            target = folder / name
            if not target.exists():
                reason = _apart(partial(_build, config, made, name, target))
                if reason:
                    failed[name] = reason
    return failed


def _apart(work: Callable[[], None]) -> str:
    """Do it in a process of its own; empty, or why it failed."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        signal.alarm(_MOST_SECONDS)
        try:
            work()
        except Exception as error:  # noqa: BLE001  (a class may raise anything on a configuration it does not expect)
            os.write(write, f"{type(error).__name__}: {error}"[:300].encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        reason = told.read().decode(errors="replace")
    status = os.waitpid(child, 0)[1]
    return reason or (f"stopped by signal {status}" if status else "")


def _build(config: Any, model: Any, name: str, folder: Path) -> None:
    torch.manual_seed(0)
    built, small = _tiny(config, model, name)
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.is_floating_point():  # No two matrices are alike by their initial values.
                parameter.normal_(0, 0.02)
    head, table = _matrix(built.get_output_embeddings), _matrix(built.get_input_embeddings)
    if head is None or table is None:
        raise ValueError("the model names no output matrix or no input table")
    partial = folder.with_name(f".{folder.name}")
    built.save_pretrained(partial)
    stored: dict[str, Tensor] = {}
    for file in sorted(partial.glob("*.safetensors")):
        stored |= load_file(file)
    own = sum(parameter.numel() for parameter in built.parameters())
    parameters = {parameter.data_ptr() for parameter in built.parameters()}
    buffers = {name: t for name, t in built.state_dict().items() if t.data_ptr() not in parameters}
    answer = Answer(
        model=type(built).__name__,
        parameters=own,
        elements=sum(tensor.numel() for tensor in stored.values()),
        buffers=sum(tensor.numel() for tensor in buffers.values()),
        head=_stored_as(head, stored),
        embedding=_stored_as(table, stored),
        tied=head.data_ptr() == table.data_ptr() or _is_a_table(head, built),
        stated=getattr(small, "tie_word_embeddings", None),
    )
    (partial / "answer.json").write_bytes(msgspec.json.encode(answer))
    partial.rename(folder)


def _tiny(config: Any, model: Any, name: str) -> tuple[Any, Any]:
    """A tiny model and its configuration; raises what the last way of cutting lists raised."""
    errors: list[Exception] = []
    for cut in CUTS:
        try:
            small = config(**merged(shrink(config().to_dict(), cut), OVERRIDES.get(name, {})))
            small = _of_model(small, model)
            with torch.device("meta"):
                size = sum(parameter.numel() for parameter in model(small).parameters())
            if size > _MOST_PARAMETERS:
                raise ValueError(f"{size:,} parameters are too many")
            return model(small).eval(), small
        except Exception as error:  # noqa: BLE001  (as above)
            errors.append(error)
    raise errors[0]


def _of_model(config: Any, model: Any) -> Any:
    """The part of a configuration that a model of text alone is built from."""
    if isinstance(config, model.config_class):
        return config
    for key in ("text_config", "decoder"):
        part = getattr(config, key, None)
        if isinstance(part, model.config_class):
            return part
    return config


def _matrix(getter: Callable[[], Any]) -> Tensor | None:
    try:
        layer = getter()
    except (AttributeError, NotImplementedError):
        return None
    if isinstance(layer, torch.nn.ModuleList):
        layer = layer[0]
    weight = getattr(layer, "weight", None)
    return weight.detach() if isinstance(weight, Tensor) else None


def _is_a_table(head: Tensor, model: Any) -> bool:
    """Whether the output matrix turns tokens into vectors as well: those of an encoder, or of a decoder."""
    tables = (layer.weight for layer in model.modules() if isinstance(layer, torch.nn.Embedding))
    return any(table.data_ptr() == head.data_ptr() for table in tables)


def _stored_as(matrix: Tensor, stored: dict[str, Tensor]) -> tuple[str, ...]:
    """The stored names that hold this matrix."""
    return tuple(name for name, tensor in stored.items() if torch.equal(tensor, matrix))


def main() -> None:
    if len(sys.argv) > 1:
        for name, reason in build_all(Path(sys.argv[1])).items():
            print(name, reason.splitlines()[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        failed = build_all(Path(folder))
        from transformers import __version__

        PAGE.write_text(page(compared(Path(folder)), failed, __version__))


if __name__ == "__main__":
    main()
