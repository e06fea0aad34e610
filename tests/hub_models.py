"""Tiny models as users have them: folders that transformers writes, and GGUF files that the gguf package writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch

VOCABULARY, WIDTH, POSITIONS = 256, 32, 64


def _llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=POSITIONS, tie_word_embeddings=False, bos_token_id=None,
            eos_token_id=None,
        )
    ).to(torch.bfloat16)  # fmt: skip


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=POSITIONS, bos_token_id=None,
            eos_token_id=None,
        )
    )  # fmt: skip


def _t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    return T5ForConditionalGeneration(
        T5Config(vocab_size=VOCABULARY, d_model=WIDTH, d_ff=64, num_layers=2, num_heads=4, d_kv=8,
                 decoder_start_token_id=0)
    )  # fmt: skip


MODELS: dict[str, Callable[[], Any]] = {"llama": _llama, "gpt2": _gpt2, "t5": _t5}


def folder_of(kind: str, folder: Path) -> Path:
    """A folder with a model of random weights, larger than a new model's, so that it is sure of something."""
    pytest.importorskip("transformers", reason="needs golfbudget[hf]: transformers")
    torch.manual_seed(0)
    model = MODELS[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    model.save_pretrained(folder, max_shard_size="40KB" if kind == "llama" else "1GB")
    return folder


def gguf_of(
    path: Path, kind: str = "Q8_0", *, tied: bool = True, width: int = 64, vocabulary: int = VOCABULARY
) -> Path:
    """A Llama's GGUF file of random weights, its matrices in blocks of one type."""
    generator = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // 4)
    writer.add_vocab_size(vocabulary)
    writer.add_token_list([f"token{number}" for number in range(vocabulary)])
    block = gguf.GGMLQuantizationType[kind]

    def add(name: str, *shape: int) -> None:
        values = (generator.standard_normal(shape) * 0.2).astype(np.float32)
        if len(shape) == 2:
            writer.add_tensor(name, gguf.quants.quantize(values, block), raw_dtype=block)
        else:
            writer.add_tensor(name, 1 + values)

    add("token_embd.weight", vocabulary, width)
    for layer in range(2):
        for matrix, rows, columns in (
            ("attn_q", width, width), ("attn_k", width // 2, width), ("attn_v", width // 2, width),
            ("attn_output", width, width), ("ffn_gate", 2 * width, width), ("ffn_up", 2 * width, width),
            ("ffn_down", width, 2 * width),
        ):  # fmt: skip
            add(f"blk.{layer}.{matrix}.weight", rows, columns)
        for norm in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{norm}.weight", width)
    add("output_norm.weight", width)
    if not tied:
        add("output.weight", vocabulary, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
