"""What a configuration beside the weights (`config.json`) says of them: the head's tie, the vocabulary, the packing.

Multimodal models keep the language model's settings under a key of their own (`text_config`, `llm_config`,
`thinker_config`), which may be nested again; training scripts leave values as text.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice

from msgspec import Struct, field

#: Keys under which a model of several keeps its language model, in the order in which they are believed.
_LANGUAGE = (
    "text_config",
    "llm_config",
    "language_config",
    "thinker_config",
    "language_model",
    "decoder",
    "talker_config",
)
#: Keys of models that have no vocabulary of text, and of settings that are none of a model.
_OTHERS = re.compile(r"vision|visual|image|audio|speech|vit|codec|encoder|quantization|rope|task_specific|generation")
#: How configurations speak of the tie, the most usual first, and whether "true" means that there is one.
_TIES: Mapping[str, bool] = {
    "tie_word_embeddings": True,
    **dict.fromkeys(("tie_word_embedding", "tie_embeddings", "tie_embedding", "tied_embeddings", "tie_weights"), True),
    **dict.fromkeys(("weight_tying", "tie_lm_head", "tie_embed", "tied_head", "share_input_output_embed"), True),
    **dict.fromkeys(("share_embeddings_and_output_weights", "share_decoder_input_output_embed"), True),
    **dict.fromkeys(("untie_embeddings_and_output_weights", "untie_embeddings", "no_weight_tying"), False),
}
_PACKING = ("quantization_config", "quantization", "compression_config")
_NOTHING: Mapping[str, object] = {}
_DEEPEST = 6
#: No matrix has more rows or columns.
_LARGEST = 1 << 31
_MOST_NODES = 4096
#: Heads of models that give no logits of tokens, by the ends of their class names.
_NO_HEAD = re.compile(
    r"(?:For(?:Sequence|Token|Image|Audio|Video|Object)\w*(?:Classification|Detection)|ForQuestionAnswering|"
    r"ForMultipleChoice|ForRewardModel\w*|(?<!LMHead)(?<!LMHeads)(?<!DoubleHeads)Model)$"
)


class ConfigJson(Struct, frozen=True, kw_only=True):
    """The settings that matter here; all are None or empty where nothing says them.

    `tied` is what the configuration says and `said` its own words for it.  `architecture` is the first that
    it names, `headless` one that has no output over the vocabulary.
    """

    tied: bool | None = None
    said: str | None = None
    vocabularies: tuple[int, ...] = ()
    architecture: str | None = None
    headless: str | None = None
    packing: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Mapping[str, object] | None, values: Mapping[str, object] = _NOTHING) -> ConfigJson:
        """From a configuration as it stands in the file; `values` are a checkpoint's own, which come after it."""
        tied, said = _within(values)
        if config is None:
            return cls(tied=tied, said=said)
        vocabularies: dict[int, None] = {}
        told = False
        for path, holder in _language(config):
            found = None if told else _tie(holder)
            if found is not None:
                told, tied, said = True, found[0], f"config.json says {path}{found[1]}"
            for key in ("vocab_size", "padded_vocab_size", "n_vocab", "draft_vocab_size"):
                size = holder.get(key)
                if isinstance(size, int) and not isinstance(size, bool) and size > 0:
                    vocabularies[size] = None
        return cls(
            tied=tied,
            said=said,
            vocabularies=tuple(vocabularies),
            architecture=next(iter(_classes(config)), None),
            headless=_headless(config),
            packing=_packing(config),
        )

    @property
    def method(self) -> str:
        """The quantiser's name in lower case, "" where none is named."""
        said = self.packing.get("quant_method", self.packing.get("quant_algo"))
        return said.lower() if isinstance(said, str) else ""

    def bits(self, module: str) -> int | None:
        """Bits of a value of a module's weights, as the configuration says."""
        return self._number(module, ("bits", "w_bit", "wbits", "num_bits", "nbits", "weight_bits"), most=16)

    def group(self, module: str) -> int | None:
        """Values that share a scale."""
        return self._number(module, ("group_size", "q_group_size"), most=1 << 20)

    def shape_of(self, module: str) -> tuple[int, int] | None:
        """Outputs and inputs of a module, where the quantiser lists them."""
        layers = self.packing.get("config_for_layers")
        own = layers.get(module) if isinstance(layers, Mapping) else None
        if not isinstance(own, Mapping):
            return None
        outputs, inputs = own.get("out_features"), own.get("in_features")
        if (
            type(outputs) is not int
            or type(inputs) is not int
            or not (0 < outputs < _LARGEST and 0 < inputs < _LARGEST)
        ):
            return None
        return outputs, inputs

    def _number(self, module: str, keys: tuple[str, ...], most: int) -> int | None:
        own = self.packing.get(module)
        holders = [own] if isinstance(own, Mapping) else []
        for holder in (*holders, *_nested(self.packing)):
            for key in keys:
                number = holder.get(key)
                if isinstance(number, int) and not isinstance(number, bool) and 0 < number <= most:
                    return number
        if "bits" in keys:
            return next(
                (bits for key, bits in (("load_in_4bit", 4), ("load_in_8bit", 8)) if self.packing.get(key)), None
            )
        return None


def _language(config: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The configuration itself, then every one of a language model inside it, nearest first."""
    waiting: deque[tuple[str, Mapping[str, object], int]] = deque([("", config, 0)])
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        path, holder, depth = waiting.popleft()
        yield path, holder
        if depth >= _DEEPEST or len(waiting) >= _MOST_NODES:
            continue
        inner = list(islice(((k, v) for k, v in holder.items() if isinstance(v, Mapping)), _MOST_NODES))
        known = [(key, value) for name in _LANGUAGE for key, value in inner if key == name]
        rest = [(key, value) for key, value in inner if key not in _LANGUAGE and not _OTHERS.search(key)]
        waiting.extend((f"{path}{key}.", value, depth + 1) for key, value in (*known, *rest) if key not in _PACKING)


def _packing(config: Mapping[str, object]) -> Mapping[str, object]:
    """The settings of the quantiser, at any nesting."""
    for holder in _nested(config):
        for key in _PACKING:
            found = holder.get(key)
            if isinstance(found, Mapping):
                return found
    return {}


def _nested(config: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    waiting: deque[tuple[Mapping[str, object], int]] = deque([(config, 0)])
    for _ in range(_MOST_NODES):
        if not waiting:
            return
        holder, depth = waiting.popleft()
        yield holder
        if depth < _DEEPEST and len(waiting) < _MOST_NODES:
            inner = (value for value in holder.values() if isinstance(value, Mapping))
            waiting.extend((value, depth + 1) for value in islice(inner, _MOST_NODES))


def _tie(holder: Mapping[str, object]) -> tuple[bool, str] | None:
    """Whether there is a tie by the first key that says it, and its words."""
    for key, sense in _TIES.items():
        said = _truth(holder.get(key))
        if said is not None:
            return said is sense, f"{key}: {str(said).lower()}"
    return None


def _within(values: Mapping[str, object]) -> tuple[bool | None, str | None]:
    """The same of the settings that a trainer leaves in its checkpoint, at any depth."""
    for name, value in values.items():
        key = name.rpartition("/")[2]
        found = _tie({key: value}) if key in _TIES else None
        if found is not None:
            return found[0], f"{name.removesuffix(key)}{found[1]} is in the checkpoint"
    return None, None


def _truth(said: object) -> bool | None:
    """A setting as true or false; some scripts write them as text, or as 0 and 1."""
    if isinstance(said, bool) or (isinstance(said, int) and said in (0, 1)):
        return bool(said)
    return {"true": True, "false": False}.get(said.strip().lower()) if isinstance(said, str) else None


def _classes(config: Mapping[str, object]) -> list[str]:
    named = config.get("architectures")
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def _headless(config: Mapping[str, object]) -> str | None:
    classes = _classes(config)
    without = [name for name in classes if _NO_HEAD.search(name)]
    return without[0] if without and len(without) == len(classes) else None
