"""A model of the user's own, named `FILE:OBJECT`: imported, fitted with a state dict, and run.

**Trusted code.** Importing FILE runs it, with all the rights of the user who named it.  Name only files you have
read or written; nothing else in golfbudget runs code that it is given.

OBJECT is an `nn.Module`, or a class or function that makes one from no argument or from the state dict (a mapping of
tensor names to tensors).  The module must

- take the checkpoint's state dict: the same names, the same shapes;
- map int64 token ids [batch, time] to logits [batch, time, vocabulary] when called.

It may also have both `hidden(ids)`, the final states [batch, time, width] whatever the head, and `logits(hidden)`,
with `module(ids)` equal to `module.logits(module.hidden(ids))`.  Then candidates that change nothing but the head
reuse the states, and cost one matrix product each.
"""

from __future__ import annotations

import copy
import inspect
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import UsageError
from golfbudget.quality.evaluate import Evaluator
from golfbudget.quality.text import Text

#: Logits held at once, in numbers: 256 MiB of float32.
_LOGITS_AT_ONCE = 1 << 26
#: How far module(ids) may be from module.logits(module.hidden(ids)), in nats.
_AGREE = 1e-3
_SHOWN = 8
_PREFIX = "golfbudget_user_model_"


class UserModel:
    """`FILE:OBJECT`, imported once; `on` gives its module holding a state dict."""

    def __init__(self, spec: str) -> None:
        """Import the file and find the object; `UsageError` says which of the two went wrong, and where."""
        file, colon, name = spec.rpartition(":")
        if not colon or not file or not name:
            raise UsageError(f"--model {spec}: expected FILE:OBJECT, such as model.py:Model, or a builtin: name")
        self.spec = spec
        found = _find(_import(Path(file), spec), name, spec)
        self._takes_state = False
        self._make: Callable[..., object]
        if isinstance(found, nn.Module):
            self._make = lambda: copy.deepcopy(found)
        elif callable(found):
            self._make, self._takes_state = found, _takes_state(found, spec)
        else:
            raise UsageError(
                f"--model {spec}: {name} is of type {type(found).__name__}; expected an nn.Module, "
                "or a class or function that makes one"
            )

    def on(self, state: Mapping[str, Tensor]) -> nn.Module:
        """A module of its own in evaluation mode, with this state's values.

        `UsageError` lists the names of tensors that are missing, unexpected or of another shape.
        """
        try:
            made = self._make(dict(state)) if self._takes_state else self._make()
        except Exception as error:
            raise UsageError(f"--model {self.spec}: making the model failed: {_where(error)}") from error
        if not isinstance(made, nn.Module):
            raise UsageError(f"--model {self.spec}: expected an nn.Module, it made one of type {type(made).__name__}")
        _fit(made, state, self.spec)
        return made.eval()

    def logits(self, module: nn.Module, ids: Tensor, vocabulary: int) -> Tensor:
        """Logits, float32 [batch, time, vocabulary], of token ids [batch, time]."""
        return self._checked(lambda: module(ids), "module(ids)", (*ids.shape, vocabulary))

    def hidden(self, module: nn.Module, ids: Tensor) -> Tensor:
        """Final states, [batch, time, width], of token ids [batch, time]; only where it `is_split`."""
        split: Any = module
        return self._checked(lambda: split.hidden(ids), "module.hidden(ids)", (*ids.shape, None))

    def logits_of(self, module: nn.Module, hidden: Tensor, vocabulary: int) -> Tensor:
        """Logits, float32 [batch, time, vocabulary], of final states [batch, time, width]; only where it `is_split`."""
        split: Any = module
        shape = (*hidden.shape[:2], vocabulary)
        return self._checked(lambda: split.logits(hidden), "module.logits(hidden)", shape)

    def _checked(self, run: Callable[[], object], what: str, shape: tuple[int | None, ...]) -> Tensor:
        try:
            found = run()
        except Exception as error:
            raise UsageError(f"--model {self.spec}: {what} failed: {_where(error)}") from error
        expected = ", ".join("width" if size is None else str(size) for size in shape)
        if not isinstance(found, Tensor):
            raise UsageError(
                f"--model {self.spec}: {what} gave one of type {type(found).__name__}, expected a tensor [{expected}]; "
                "return logits, not a loss or a tuple"
            )
        if (
            found.ndim != len(shape)
            or not found.is_floating_point()
            or any(size not in (None, own) for size, own in zip(shape, found.shape, strict=True))
        ):
            raise UsageError(
                f"--model {self.spec}: {what} gave {found.dtype} {list(found.shape)}, expected floats [{expected}]"
            )
        return found.float()


def is_split(module: nn.Module) -> bool:
    """Whether the module offers its final states apart from its head."""
    return callable(getattr(module, "hidden", None)) and callable(getattr(module, "logits", None))


def _import(path: Path, spec: str) -> types.ModuleType:
    """Run the user's file as a module of its own name; no folder is put on the path, no cache is written."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--model {spec}: {path}: {error.strerror or error}") from error
    module = types.ModuleType(_PREFIX + path.stem)
    module.__file__ = str(path.resolve())
    # Dataclasses and pickling look a class's module up by name.
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, module.__file__, "exec"), module.__dict__)  # noqa: S102  (the user named this file to be run)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        hint = ""
        if isinstance(error, ModuleNotFoundError):
            hint = "; only the named file is imported: set PYTHONPATH for modules beside it"
        raise UsageError(f"--model {spec}: importing {path} failed: {_where(error)}{hint}") from error
    return module


def _find(module: types.ModuleType, name: str, spec: str) -> object:
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            models = [key for key, value in vars(module).items() if _is_model(value, module.__name__)]
            known = f"; it defines {', '.join(models)}" if models else ""
            raise UsageError(f"--model {spec}: the file has no {name}{known}")
        found = getattr(found, part)
    return found


def _is_model(value: object, module: str) -> bool:
    if isinstance(value, type):
        return issubclass(value, nn.Module) and value.__module__ == module
    return isinstance(value, nn.Module)


def _takes_state(make: Callable[..., object], spec: str) -> bool:
    """Whether the object needs the state dict; `UsageError` when it needs more than that."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY for p in needed):
        raise UsageError(
            f"--model {spec}: it needs {', '.join(p.name for p in needed)}; name a function that takes nothing, or "
            "the state dict alone, and returns the module"
        )
    return len(needed) == 1


def _fit(module: nn.Module, state: Mapping[str, Tensor], spec: str) -> None:
    """Copy the state into the module, or say by name why it does not fit."""
    own = module.state_dict(keep_vars=True)
    # Names of one tensor in the module: a checkpoint need hold only one of them.
    twins: dict[int, list[str]] = {}
    for name, tensor in own.items():
        twins.setdefault(id(tensor), []).append(name)
    wrong = [f"{name}: unexpected, {list(state[name].shape)}" for name in state if name not in own]
    values: dict[str, Tensor] = {}
    for names in twins.values():
        held = [name for name in names if name in state]
        shape = own[names[0]].shape
        if not held:
            wrong.append(f"{names[0]}: missing, expected {list(shape)}")
            continue
        wrong += [
            f"{name}: expected {list(shape)}, found {list(state[name].shape)}"
            for name in held
            if state[name].shape != shape
        ]
        if any(not _same(state[held[0]], state[name]) for name in held[1:]):
            wrong.append(f"{' and '.join(held)}: one tensor in the model, two that differ in the state dict")
        values |= dict.fromkeys(names, state[held[0]])
    if wrong:
        # What the model lacks comes before what it does not know.
        wrong.sort(key=lambda line: ("unexpected" in line, line))
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise UsageError(
            f"--model {spec} does not take this state dict ({len(state)} tensors, the model has {len(own)}): "
            f"{'; '.join(wrong[:_SHOWN])}{more}"
        )
    with torch.no_grad():
        module.load_state_dict(values)


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and torch.equal(a, b))


def _where(error: BaseException) -> str:
    """An exception in one line, with the place in the user's file where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__]
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    if isinstance(error, SyntaxError):
        place = f" (line {error.lineno})"
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + text[0] if text else ''}{place}"


class UserEvaluator(Evaluator):
    """Scores state dicts of a user's model on one text.

    `head` names the tensors that only the head reads: with a split model, states that differ in nothing else reuse
    the hidden states.  The claim is checked on one window each time, and not relied on where it is false.
    """

    def __init__(self, text: Text, model: UserModel, *, vocabulary: int, head: frozenset[str] = frozenset()) -> None:
        super().__init__(text, head)
        if int(text.windows.max()) >= vocabulary:
            raise UsageError(
                f"the text holds token {int(text.windows.max())}, the model's vocabulary has {vocabulary} tokens"
            )
        self.model, self.vocabulary = model, vocabulary
        self._agrees = False

    def on(self, text: Text) -> UserEvaluator:
        return UserEvaluator(text, self.model, vocabulary=self.vocabulary, head=self.head)

    @property
    def _at_once(self) -> int:
        return max(1, _LOGITS_AT_ONCE // (self.text.window * self.vocabulary))

    def _model(self, state: Mapping[str, Tensor]) -> nn.Module:
        return self.model.on(state)

    def _states(self, model: nn.Module, ids: Tensor) -> Tensor:
        return self.model.hidden(model, ids)

    def _logits(self, model: nn.Module, hidden: Tensor) -> Tensor:
        return self.model.logits_of(model, hidden, self.vocabulary)

    def _scores(
        self, model: nn.Module, state: Mapping[str, Tensor], *, keep: bool, windows: int | None
    ) -> Iterator[Tensor]:
        if is_split(model):
            return super()._scores(model, state, keep=keep, windows=windows)
        wanted = self.text.windows[:windows].split(self._at_once)
        return (self.model.logits(model, chunk[:, :-1], self.vocabulary) for chunk in wanted)

    def _token_nats(self, state: Mapping[str, Tensor], bias: Tensor | None, *, keep: bool) -> Tensor:
        windows = self.text.windows.split(self._at_once)
        chunks = zip(self.logit_chunks(state, bias=bias, keep=keep), windows, strict=True)
        return torch.cat([F.cross_entropy(z.transpose(1, 2), chunk[:, 1:], reduction="none") for z, chunk in chunks])

    def _probe(self, model: nn.Module) -> Tensor:
        """Hidden states of the first window; the first time they are seen to give the module's own logits."""
        ids = self.text.windows[:1, :-1]
        states = self._states(model, ids)
        if not self._agrees:
            apart = (self._logits(model, states) - self.model.logits(model, ids, self.vocabulary)).abs().max()
            if not float(apart) <= _AGREE:
                raise UsageError(
                    f"--model {self.model.spec}: module(ids) and module.logits(module.hidden(ids)) differ by up to "
                    f"{float(apart):.3g}; they must be the same"
                )
            self._agrees = True
        return states
