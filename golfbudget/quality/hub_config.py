"""What `transformers` makes of a folder's config.json, or of a GGUF file's metadata: an architecture, and its names."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from golfbudget.artifact.files import read_json
from golfbudget.errors import UsageError

CONFIG = "config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedNames:
    """`places` of a state's tensors in a module; `known` are all names of that state, `changed` how some are turned."""

    places: Mapping[str, str]
    known: frozenset[str]
    changed: Callable[[str, Tensor], Tensor] | None = field(default=None)

    def shaped(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor as the module has it; both are of any shape."""
        return tensor if self.changed is None else self.changed(name, tensor)


@contextmanager
def _quietly() -> Iterator[None]:
    """What the library remarks on configurations stays out of our output."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class HubConfig:
    """The configuration of a folder or of a GGUF file.  No code but the library's own is run, unless it is trusted."""

    def __init__(self, path: Path, *, trust_remote_code: bool = False) -> None:
        """Read it; `UsageError` names the file, what it says, and what to do."""
        self.path, self.trusted = path, trust_remote_code
        self.gguf = path.suffix == ".gguf"
        self.file = path if self.gguf else path / CONFIG
        self.auto_map: Mapping[str, object] = {}
        with _quietly():
            self.config = self._of_gguf() if self.gguf else self._of_folder()

    def __reduce__(self) -> tuple[object, ...]:
        """By where it is read from: another process reads it again."""
        return _read, (self.path, self.trusted)

    @property
    def key(self) -> str:
        """What a model's arithmetic depends on besides its tensors: its configuration, and the library's version."""
        from transformers import __version__

        told = f"{__version__}:{self.config.architectures}:{self.config.to_json_string(use_diff=False)}"
        return hashlib.sha256(told.encode()).hexdigest()

    def _of_folder(self) -> Any:  # noqa: ANN401  (configurations of a library that states no types)
        from transformers import CONFIG_MAPPING, AutoConfig

        if not self.file.is_file():
            raise UsageError(
                f"--model hf: {self.file}: there is no such file, and it says which architecture the tensors are of; "
                "name the folder that has it: --model hf:FOLDER"
            )
        told = read_json(self.file)
        if not isinstance(told, dict):
            raise UsageError(f"--model hf: {self.file}: expected a JSON object, found {type(told).__name__}")
        kind, mapped = told.get("model_type"), told.get("auto_map")
        known = isinstance(kind, str) and kind in CONFIG_MAPPING
        if isinstance(mapped, dict) and mapped and not known:
            self.auto_map = mapped
            if not self.trusted:
                raise UsageError(
                    f"--model hf: {self.file}: model_type {kind!r} is defined by code in the folder "
                    f"({', '.join(map(str, mapped.values()))}); read it, and say --trust-remote-code to have it run"
                )
        elif not known:
            raise self._unknown(f"model_type {kind!r}")
        try:
            return AutoConfig.from_pretrained(self.path, local_files_only=True, trust_remote_code=bool(self.auto_map))
        except Exception as error:  # Of any class: its checks are arithmetic on whatever the file says.
            raise UsageError(f"--model hf: {self.file}: transformers does not take it: {_line(error)}") from error

    def _of_gguf(self) -> Any:  # noqa: ANN401
        from transformers import AutoConfig

        try:
            # By its whole path: a name alone may be found in the working directory first.
            file = self.path.resolve()
            return AutoConfig.from_pretrained(file.parent, gguf_file=str(file), local_files_only=True)
        except Exception as error:  # Of any class, as above.
            raise UsageError(
                f"--model hf: {self.file}: transformers does not take its metadata: {_line(error)}; name a folder with "
                "the model's config.json: --model hf:FOLDER"
            ) from error

    def _unknown(self, what: str) -> UsageError:
        from transformers import __version__

        return UsageError(
            f"--model hf: {self.file}: {what} is no architecture of transformers {__version__}; install a version that "
            "has it, or run a module of your own: --model FILE:OBJECT"
        )

    @property
    def encoder_decoder(self) -> bool:
        return bool(getattr(self.config, "is_encoder_decoder", False))

    @property
    def nothing(self) -> int:
        """The token that an encoder reads where no text comes before."""
        for name in ("eos_token_id", "pad_token_id", "decoder_start_token_id"):
            token = getattr(self.config, name, None)
            if isinstance(token, int):
                return token
        return 0

    @property
    def positions(self) -> int | None:
        """The most positions, where they are bounded: an architecture with relative ones takes any."""
        found = getattr(self.config, "max_position_embeddings", None) or getattr(self.config, "n_positions", None)
        bounded = isinstance(found, int) and not hasattr(self.config, "relative_attention_num_buckets")
        return found if bounded else None

    def skeleton(self) -> Any:  # noqa: ANN401
        """The module of the architecture in evaluation mode, its parameters not filled.

        `UsageError` where transformers cannot make it.
        """
        from transformers.initialization import no_init_weights

        made = self._class()
        try:
            with _quietly(), no_init_weights():
                model = made(self.config)
                model.tie_weights()
        except (ValueError, TypeError, KeyError, AttributeError, ImportError, RuntimeError) as error:
            raise UsageError(f"--model hf: {self.file}: {_line(error)}") from error
        return model.float().eval().requires_grad_(requires_grad=False)

    def _class(self) -> Callable[[Any], Any]:
        import transformers
        from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

        auto = AutoModelForSeq2SeqLM if self.encoder_decoder else AutoModelForCausalLM
        if self.auto_map:
            return lambda config: auto.from_config(config, trust_remote_code=True)
        for name in getattr(self.config, "architectures", None) or ():
            found = getattr(transformers, str(name), None)
            if isinstance(found, type) and issubclass(found, nn.Module):
                return found
            raise self._unknown(f"architecture {name!r}")
        made: Callable[[Any], Any] = auto.from_config
        return made

    def names(self, model: Any, state: Iterable[str]) -> PlacedNames:  # noqa: ANN401
        """Where the tensors of a state belong, by their own names, or with the base model's prefix more or less."""
        names = list(state)
        if any(name.startswith(("token_embd.", "blk.")) for name in names):
            return self._gguf_names(model, names)
        own, prefix = model.state_dict(keep_vars=True), f"{model.base_model_prefix}."
        places: dict[str, str] = {}
        for name in names:
            spelled = (name, f"{prefix}{name}", name.removeprefix(prefix), name.removeprefix("_orig_mod."))
            place = next((one for one in spelled if one in own), None)
            if place is not None:
                places[name] = place
        return PlacedNames(places=places, known=frozenset(names))

    def _gguf_names(self, model: Any, names: list[str]) -> PlacedNames:  # noqa: ANN401
        """The library's own map from names of GGUF files, and what it does to the tensors under some of them."""
        from transformers.modeling_gguf_pytorch_utils import (
            TENSOR_PROCESSORS,
            TensorProcessor,
            get_gguf_hf_weights_map,
        )

        kind = str(self.config.model_type)
        processor = TENSOR_PROCESSORS.get(kind, TensorProcessor)(config=self.config.to_dict())
        try:
            with _quietly():
                found = get_gguf_hf_weights_map(model, processor)
        except (NotImplementedError, KeyError, ValueError) as error:
            raise UsageError(
                f"--model hf: {self.path}: names of {kind} in GGUF files are not known: {error}"
            ) from error

        def changed(name: str, tensor: Tensor) -> Tensor:
            turned = processor.process(weights=tensor.float().numpy(), name=name, tensor_key_mapping=found)
            return torch.from_numpy(turned.weights.copy())

        places = {name: found[name] for name in names if name in found}
        return PlacedNames(places=places, known=frozenset(names), changed=changed)


def _read(path: Path, trusted: bool) -> HubConfig:  # noqa: FBT001  (positional: how pickles call)
    return HubConfig(path, trust_remote_code=trusted)


def _line(error: BaseException) -> str:
    """The first line of what the library says."""
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__
