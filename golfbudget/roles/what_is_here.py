"""Whether an artifact without an output matrix is a whole language model: or an adapter, an encoder, a classifier."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from golfbudget.artifact import Artifact
from golfbudget.ledger import Role
from golfbudget.roles.config_json import ConfigJson
from golfbudget.roles.resolve import Resolution

#: What adapters are made of, as a part of a name; before it stands the module that is adapted.
_ADAPTER = re.compile(
    r"[./_](?P<part>lora_(?:embedding_)?[AaBb]|lora_magnitude_vector|ia3_l|vera_(?:lambda_[bd]|[AB])|hada_w[12]_[ab]|"
    r"lokr_w[12]|oft_[rRs]|boft_[rRs]|prompt_embeddings)(?:[._]|$)"
)
#: Modules that end encoders and classifiers, and that no model with an output over the vocabulary needs.
_OTHER_HEADS = re.compile(
    r"(?:^|\.)(?P<module>score|classifier|qa_outputs|classification_head\.out_proj|pooler\.dense|text_projection|"
    r"visual_projection|cls\.output|(?:v|value|reward|rm|critic)_head(?:\.[0-9]+)?|regression_layer|"
    r"discriminator_predictions\.dense_prediction)(?:\.(?:weight|bias))?$"
)
#: A numbered block, and one of an encoder: Megatron calls the blocks of its language model so, too.
_BLOCK = re.compile(r"(?:^|\.)[A-Za-z_]+\.[0-9]+\.")
_ENCODING = re.compile(r"(?:^|\.)(?<!language_model\.)encoder\.(?:[A-Za-z_]+\.)*?[A-Za-z_]+\.[0-9]+\.")
#: The layer by which a draft model joins what its target gives it, of two or three hidden states.
_JOINING, _JOINED = "fc.weight", (2, 3)
#: Architectures of GGUF files that give vectors and no logits.
_ENCODERS = re.compile(r"bert|encoder|clip$")
_POOLED = range(1, 5)


def what_is_here(artifact: Artifact, resolution: Resolution, config: ConfigJson) -> str | None:
    """Why that no output matrix is stored says nothing of a tie, in words; None where it does."""
    adapted = _adapter([tensor.name for tensor in artifact.tensors])
    if adapted is not None:
        return f"this is an adapter ({adapted}): what its model holds besides is not here"
    encoder = encoder_of(artifact.values)
    if encoder is not None:
        return encoder
    if config.architecture is None and not any(
        one.rule is not None and one.rule.role is Role.HEAD and one.matrix is None for one in resolution.names.values()
    ):
        other = next((one.owner for one in resolution.names.values() if _OTHER_HEADS.search(one.owner)), None)
        if other is not None:
            return f"{other} ends a model that has none"
        return _draft(artifact) or _only_encoder(one.owner for one in resolution.names.values())
    return None


def _draft(artifact: Artifact) -> str | None:
    """A draft model gives its states to the output of another."""
    joining = next((tensor.shape for tensor in artifact.tensors if tensor.name == _JOINING), ())
    if len(joining) != 2 or joining[1] not in [many * joining[0] for many in _JOINED]:
        return None
    return f"{_JOINING} joins several hidden states, as a draft model does that has its target's output"


def _only_encoder(owners: Iterable[str]) -> str | None:
    """All numbered blocks stand in an encoder: with an output over the vocabulary it would have more than a table."""
    blocks = [owner for owner in (name.replace("/", ".") for name in owners) if _BLOCK.search(owner)]
    if not blocks or not all(_ENCODING.search(owner) for owner in blocks):
        return None
    return f"all blocks are an encoder's, such as {blocks[0]}"


def _adapter(names: Iterable[str]) -> str | None:
    """A name of an adapter's, where the matrices that it adapts are not stored."""
    adapters, others = dict[str, str](), set[str]()
    for name in names:
        found = _ADAPTER.search(f".{name}")
        if found is None:
            module = name.rpartition(".")[0]
            others |= {name, module, module.removesuffix(".base_layer")}
        else:
            adapters.setdefault(name[: max(0, found.start() - 1)], found["part"])
    if not adapters or any(module in others for module in adapters if module):
        return None
    return next(iter(adapters.values()))


def encoder_of(values: Mapping[str, object]) -> str | None:
    """What a GGUF file says of itself, where that makes it an encoder."""
    architecture = values.get("general.architecture")
    if not isinstance(architecture, str):
        return None
    if _ENCODERS.search(architecture):
        return f"general.architecture is {architecture[:80]}, which has none"
    pooled, causal = (f"{architecture}.{key}" for key in ("pooling_type", "attention.causal"))
    if values.get(pooled) in _POOLED:
        return f"{pooled[:80]} says that it gives vectors"
    if values.get(causal) is False:
        return f"{causal[:80]} says that it is an encoder"
    return None
