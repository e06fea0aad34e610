"""A model of a Hugging Face folder or a GGUF file, by `transformers`: one skeleton, filled with one state at a time.

The architecture is the library's own; code that a folder brings is run only where the user says so.  Nothing is
fetched.  Weights of the state that runs are the skeleton's; of others only their own tensors are held.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (its usual name)

from golfbudget.errors import UsageError
from golfbudget.quality.hub_config import HubConfig, PlacedNames

#: How far the head's product of its inputs may be from the model's own logits, relative to the largest of them.
_AGREE = 1e-5
_SHOWN = 6
#: Bytes at whose multiples torch puts tensors.
_ALIGNED = 64


class _ReachedError(Exception):
    """The inputs of the head are there, and nothing after them is wanted."""

    def __init__(self, hidden: Tensor) -> None:
        super().__init__()
        self.hidden = hidden


class HubModel:
    """The skeleton.  `head` names the output matrix in states, `own_head` the one that an untied candidate adds."""

    def __init__(self, config: HubConfig, *, head: str, own_head: str) -> None:
        """Build it without weights; `UsageError` names what `transformers` does not make of its configuration."""
        self.config = config
        self.head, self.own_head = head, own_head
        self.skeleton = self.config.skeleton()
        self.output = self.skeleton.get_output_embeddings()
        if not isinstance(self.output, nn.Linear):
            found = type(self.output).__name__
            raise UsageError(
                f"--model hf: {config.file}: expected an architecture with one output matrix, found {found}"
            )
        # Untied here, so that a candidate may give the head a matrix of its own.
        self.output.weight = nn.Parameter(torch.empty_like(self.output.weight), requires_grad=False)
        self.names: PlacedNames | None = None
        self.split: bool | None = None
        self._filled: HubState | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """By its configuration: another process builds a skeleton of its own."""
        return _built, (self.config, self.head, self.own_head)

    @property
    def positions(self) -> int | None:
        """The longest window that the architecture takes; None where it says nothing."""
        return self.config.positions

    def on(self, state: Mapping[str, Tensor]) -> HubState:
        """A state, checked by its names and shapes, which fills the skeleton once it runs."""
        self._names(state)
        return HubState(self, state)

    def _names(self, state: Mapping[str, Tensor]) -> PlacedNames:
        """Where each name of a state belongs, found with the first one; `UsageError` for what does not fit."""
        own = state.keys() - {self.own_head}
        if self.names is None or own != self.names.known - {self.own_head}:
            names = self.config.names(self.skeleton, state)
            self._check(names, state)
            self.names = names
        return self.names

    def _check(self, names: PlacedNames, state: Mapping[str, Tensor]) -> None:
        """`UsageError` for tensors that are missing, that are not the architecture's, or of another shape."""
        model = self.skeleton.state_dict(keep_vars=True)
        ignored = [re.compile(p) for p in getattr(self.skeleton, "_keys_to_ignore_on_load_unexpected", None) or ()]
        lines = []
        for name, tensor in state.items():
            place = names.places.get(name)
            if place is not None:
                found, expected = tuple(names.shaped(name, tensor).shape), tuple(model[place].shape)
                lines += [f"{name}: {list(found)}, expected {list(expected)}"] if found != expected else []
            elif name not in (self.head, self.own_head) and not any(p.search(name) for p in ignored):
                lines.append(f"{name}: not the architecture's")
        filled = {id(model[place]) for place in names.places.values()} | {id(self.output.weight)}
        lines = [*(f"{name}: missing" for name, tensor in model.items() if id(tensor) not in filled), *lines]
        if lines:
            more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
            raise UsageError(
                f"--model hf: {self.config.path}: {type(self.skeleton).__name__} does not take these tensors: "
                f"{'; '.join(lines[:_SHOWN])}{more}; name the folder whose configuration they have: --model hf:FOLDER"
            )

    def fill(self, state: HubState) -> None:
        """Give the skeleton a state's tensors, where it has another's; they are not copied where they are as it wants.

        Else a model is in memory twice.
        """
        if self._filled is state:
            return
        names = self._names(state.values)
        own = self.skeleton.state_dict(keep_vars=True)
        for name, place in names.places.items():
            if name in state.values and own[place] is not self.output.weight:
                own[place].data = _as(own[place], names.shaped(name, state.values[name]))
        self.output.weight.data = _as(self.output.weight, state.head)
        self._filled = state

    def let_go(self) -> None:
        """Hold no state's tensors any longer: the skeleton keeps their shapes alone."""
        if self._filled is None:
            return
        own = self.skeleton.state_dict(keep_vars=True)
        for place in {*self._names(self._filled.values).places.values()}:
            own[place].data = own[place].new_zeros(()).expand(own[place].shape)
        self.output.weight.data = self.output.weight.new_zeros(()).expand(self.output.weight.shape)
        self._filled = None

    def run(self, ids: Tensor, before: Tensor | None) -> Tensor:
        """Logits [batch, time, vocabulary] of token ids [batch, time] under the state that fills it.

        `before` [batch, time before] is what an encoder reads.
        """
        found: Tensor = self.skeleton(**self._inputs(ids, before)).logits
        return found.float()

    def _inputs(self, ids: Tensor, before: Tensor | None) -> dict[str, Any]:
        if not self.config.encoder_decoder:
            return {"input_ids": ids, "use_cache": False}
        if before is None:
            before = torch.full((len(ids), 1), self.config.nothing, dtype=ids.dtype)
        return {"input_ids": before, "decoder_input_ids": ids, "use_cache": False}

    def hidden(self, ids: Tensor, before: Tensor | None) -> Tensor:
        """Inputs of the head, [batch, time, width], for token ids [batch, time]; nothing is computed after them.

        `before` [batch, time before] is as for `run`.  `UsageError` where the architecture does not use its output
        matrix.
        """

        def reached(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            raise _ReachedError(inputs[0])

        hook = self.output.register_forward_pre_hook(reached)
        try:
            self.run(ids, before)
        except _ReachedError as found:
            return found.hidden.float()
        finally:
            hook.remove()
        raise UsageError(f"--model hf: {self.config.path}: the architecture ran without its output matrix")

    def check_split(self, ids: Tensor, state: HubState) -> bool:
        """Whether logits are the head's products of its inputs and nothing more, found out on ids [batch, time]."""
        if self.split is None:
            self.fill(state)
            whole, parts = self.run(ids, None), state.logits(self.hidden(ids, None))
            self.split = float((whole - parts).abs().max()) <= _AGREE * max(1.0, float(whole.abs().max()))
        return self.split


def _as(wanted: Tensor, tensor: Tensor) -> Tensor:
    """A tensor in the type that is wanted, of its own shape, laid out as libraries of products do best with.

    What lies elsewhere may be summed in another order, and the figures would depend on who read it.
    """
    found = tensor.to(wanted.dtype).contiguous()
    return found if found.data_ptr() % _ALIGNED == 0 else found.clone()


def _built(config: HubConfig, head: str, own_head: str) -> HubModel:
    return HubModel(config, head=head, own_head=own_head)


class HubState(nn.Module):
    """One state of a `HubModel`; the skeleton is filled with it when its hidden states are asked for."""

    def __init__(self, model: HubModel, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.model, self.values = model, values

    @property
    def head(self) -> Tensor:
        """The output matrix, float32 [vocabulary, width]."""
        own, shared = self.model.own_head, self.model.head
        return self.values[own if own in self.values else shared].float()

    def hidden(self, ids: Tensor, before: Tensor | None = None) -> Tensor:
        """Under this state; shapes and errors as of `HubModel.hidden`."""
        self.model.fill(self)
        return self.model.hidden(ids, before)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] of inputs of the head [..., width]."""
        bias = self.model.output.bias
        return F.linear(hidden, self.head, None if bias is None else self._bias(bias))

    def _bias(self, bias: Tensor) -> Tensor:
        """The output's bias: this state's own, where it has one."""
        names = self.model.names
        own = self.model.skeleton.state_dict(keep_vars=True)
        place = next((n for n, p in names.places.items() if own.get(p) is bias), None) if names else None
        return bias if place is None or place not in self.values else self.values[place].float()

    def whole(self, ids: Tensor, before: Tensor | None = None) -> Tensor:
        """Logits by the architecture itself; shapes as of `HubModel.run`."""
        self.model.fill(self)
        return self.model.run(ids, before)
