"""Configurations of `transformers`, made small by the names of their fields, as far as one rule can serve all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

VOCABULARY, WIDTH, INNER, LAYERS, HEADS, HEAD_WIDTH = 512, 64, 128, 2, 4, 16
#: How lists with an item per layer are cut: left to the class, the first layers, or the first and the last.
CUTS = ("drop", "first", "ends")

Fields = Mapping[str, object]
_Rule = Callable[[int, Fields], int]


def _at_most(limit: int) -> _Rule:
    return lambda value, _: min(value, limit)


def _wide(small: int) -> _Rule:
    """Widths shrink; what is narrower than 64 is no width of the model."""
    return lambda value, _: small if value >= 64 else value


def _token(value: int, _: Fields) -> int:
    return value if value < VOCABULARY // 2 else 7 + value % 97


def _shared_heads(value: int, fields: Fields) -> int:
    heads = ("num_attention_heads", "n_head", "num_heads", "n_heads")
    full = next((number for key in heads if isinstance(number := fields.get(key), int)), 0)
    if value <= 2:
        return value
    return 2 if value < full else HEADS


#: By the whole name of a field; the first that matches is the field's.
_RULES: tuple[tuple[str, _Rule], ...] = (
    (r"(.*_)?vocab_size(_.*)?|.*vocab_sizes?|codebook_size|n_vocab", _at_most(VOCABULARY)),
    (r".*_token_id|.*_token_index|.*_id", _token),
    (r".*max_.*position(s|_embeddings)?|n_positions|n_ctx|max_.*_len(gth)?", _at_most(128)),
    (r"mamba_n_heads|mamba_num_heads", _at_most(8)),
    (r"mamba_d_head|mamba_head_dim|mamba_headdim", _at_most(HEAD_WIDTH)),
    (r"(mamba_|ssm_)?(d_)?state(_size)?", _at_most(16)),
    (r"mamba_n_groups|n_groups|mamba_ngroups", _at_most(1)),
    (r"mamba_d_ssm", _at_most(2 * WIDTH)),
    (r"(mamba_)?dt_rank|time_step_rank", _at_most(4)),
    (r"linear_num_key_heads", _at_most(2)),
    (r"linear_num_value_heads", _at_most(4)),
    (r"q_lora_rank|o_lora_rank", _at_most(32)),
    (r".*(lora_)?rank.*", _at_most(16)),
    (r".*(key_value_heads|kv_heads).*|n_kv_head|num_query_groups|multi_query_group_num|n_head_kv", _shared_heads),
    (r"n_heads?|.*_heads", _at_most(HEADS)),
    (r".*head_dim|d_kv|.*head_size|kv_channels", _at_most(HEAD_WIDTH)),
    (r"(num_|n_)?experts_per_tok(en)?|num_selected_experts|top_?k(_experts)?|moe_top_?k|moe_k", _at_most(2)),
    (r"n_group|topk_group|num_expert_groups?|expert_group.*|.*topk_groups?", _at_most(1)),
    (r"(n|num)_shared_experts|moe_num_shared_experts", _at_most(1)),
    (r".*(num|n)_(routed_|local_|dense_)?experts", _at_most(4)),
    (r".*_layers?|depths?|.*num_.*blocks|.*num_.*layers", _at_most(LAYERS)),
    (r".*(intermediate|ffn|feed_?forward|mlp_hidden|inner).*|d_ff|ff_dim", _wide(INNER)),
    (r".*hidden_(size|dim).*|.*d_model|n_embd|n_embed|d_embed|.*_dim|dim|embedding_size", _wide(WIDTH)),
    (r".*_(hidden|embed)(ding)?_size|width|lru_width|.*_channels|.*output_size", _wide(WIDTH)),
)
_COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers", "depth")
_PER_LAYER = re.compile(r".*(layers?_types?|layers_block_type|_pattern|no_rope_layers|attention_layers|block_types?)")
_PER_STAGE = re.compile(r".*(depths?|hidden_sizes?|embed_dims?|num_heads|num_attention_heads|dims)")
#: Fields that describe the library or a task, or that number layers which are no more.
_LEFT_OUT = frozenset({
    "transformers_version", "architectures", "dtype", "torch_dtype", "_name_or_path", "id2label", "label2id",
    "per_layer_config",
})  # fmt: skip
_KEPT = frozenset({"rope_parameters", "rope_scaling", "task_specific_params"})


def shrink(fields: Fields, cut: str) -> dict[str, object]:
    """The fields of a configuration, and of those inside it, made small."""
    layers = next((number for key in _COUNTS if isinstance(number := fields.get(key), int)), 0)
    made: dict[str, object] = {}
    for key, value in fields.items():
        if key in _LEFT_OUT:
            continue
        if isinstance(value, dict) and key not in _KEPT:
            made[key] = shrink(value, cut)
        elif isinstance(value, list) and _is_per_layer(key, value, layers):
            if cut != "drop":
                kept = value[:LAYERS] if cut == "first" else [value[0], value[-1]]
                made[key] = [_small(key, item, fields) for item in kept]
        elif isinstance(value, list) and _PER_STAGE.fullmatch(key):
            made[key] = [_small(key, item, fields) for item in value]
        else:
            made[key] = _small(key, value, fields)
    return made


def _is_per_layer(key: str, items: list[object], layers: int) -> bool:
    return layers > LAYERS and (len(items) == layers or (len(items) > LAYERS and bool(_PER_LAYER.fullmatch(key))))


def _small(key: str, value: object, fields: Fields) -> object:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    for pattern, rule in _RULES:
        if re.fullmatch(pattern, key):
            return rule(value, fields)
    return value


_REFORMER = {"axial_pos_shape": [8, 16], "axial_pos_embds_dim": [16, 48], "attn_layers": ["local", "lsh"]}
_SLIDING_AND_FULL = {"layer_types": ["sliding_attention", "full_attention"]}
#: What a class needs besides, or in place of, what the rules give.
OVERRIDES: Mapping[str, Fields] = {
    "causal/reformer": {**_REFORMER, "num_buckets": 8, "is_decoder": True},
    "masked/reformer": {**_REFORMER, "num_buckets": 8, "is_decoder": False},
    "causal/cohere_compass_text": _SLIDING_AND_FULL,
    "causal/dory": {"num_hidden_layers": 3, "n_input_layers": 1, "n_recurrent_layers": 1, "n_output_layers": 1},
    "causal/dots1": {"n_routed_experts": 4, "n_shared_experts": 1},
    "causal/falcon_h1": {"mamba_d_ssm": 128, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_expand": 2},
    "causal/gemma3n_text": {**_SLIDING_AND_FULL, "num_kv_shared_layers": 0},
    "causal/gemma4_assistant": {"text_config": {"hidden_size_per_layer_input": 0}},
    "causal/hunyuan_v1_dense": {"head_dim": HEAD_WIDTH},
    "causal/hunyuan_v1_moe": {"head_dim": HEAD_WIDTH},
    "causal/lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "causal/mamba2": {"num_heads": 8, "head_dim": 16, "hidden_size": WIDTH, "expand": 2, "n_groups": 1},
    "causal/ministral": {"head_dim": HEAD_WIDTH},
    "causal/nemotron": {"head_dim": HEAD_WIDTH, "num_key_value_heads": 2},
    "causal/xlnet": {"d_head": HEAD_WIDTH, "d_model": WIDTH, "n_head": HEADS},
    "masked/esm": {"vocab_size": 33, "pad_token_id": 1},
    "masked/perceiver": {
        "d_latents": WIDTH, "d_model": WIDTH, "num_latents": 8, "qk_channels": WIDTH, "v_channels": WIDTH,
        "vocab_size": 262,
    },
}  # fmt: skip


def merged(fields: Fields, over: Fields) -> dict[str, object]:
    """`fields` with those of `over` in their place, also inside."""
    made = dict(fields)
    for key, value in over.items():
        inner = made.get(key)
        made[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return made
