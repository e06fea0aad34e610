"""Tiny models as users have them: folders that transformers writes, and GGUF files that the gguf package writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

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


def tokenizer_of(path: Path, more: int = 0) -> Path:
    """A byte-level tokenizer.json of 256 tokens and `more` added ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_tokens([f"<own{number}>" for number in range(more)])
    made.save(str(path))
    return path


def llama_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A Llama's tensors as converters put them into GGUF files: other names, and halves of heads' rows interleaved."""
    names = {
        "embed_tokens": "token_embd", "lm_head": "output", "norm": "output_norm", "q_proj": "attn_q",
        "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up",
        "down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    found = {}
    for name, tensor in state.items():
        parts = name.split(".")
        block = f"blk.{parts[2]}." if "layers" in parts else ""
        heads = {"q_proj": 4, "k_proj": 2}.get(parts[-2])
        turned = tensor
        if heads is not None:
            turned = tensor.view(heads, 2, -1, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
        found[f"{block}{names[parts[-2]]}.weight"] = turned
    return found


def gguf_of(
    path: Path,
    kind: str = "Q8_0",
    *,
    tied: bool = True,
    width: int = 64,
    feed: int = 128,
    values: Mapping[str, Tensor] | None = None,
) -> Path:
    """A Llama's GGUF file, its matrices in blocks of one type; of random weights where no `values` are given."""
    generator = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(feed)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // 4)
    writer.add_vocab_size(VOCABULARY)
    writer.add_token_list([f"token{number}" for number in range(VOCABULARY)])
    block = gguf.GGMLQuantizationType[kind]

    def add(name: str, *shape: int) -> None:
        drawn = (generator.standard_normal(shape) * 0.2 + (len(shape) == 1)).astype(np.float32)
        found = drawn if values is None else values[name].float().numpy()
        if len(shape) == 2:
            writer.add_tensor(name, gguf.quants.quantize(found, block), raw_dtype=block)
        else:
            writer.add_tensor(name, found)

    add("token_embd.weight", VOCABULARY, width)
    for layer in range(2):
        for matrix, rows, columns in (
            ("attn_q", width, width), ("attn_k", width // 2, width), ("attn_v", width // 2, width),
            ("attn_output", width, width), ("ffn_gate", feed, width), ("ffn_up", feed, width),
            ("ffn_down", width, feed),
        ):  # fmt: skip
            add(f"blk.{layer}.{matrix}.weight", rows, columns)
        for norm in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{norm}.weight", width)
    add("output_norm.weight", width)
    if not tied:
        add("output.weight", VOCABULARY, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
