"""Writes a checkpoint with the shapes of a published model in sparse files: headers, index and config, no data.

usage: llama_shapes.py FOLDER NAME      NAME: llama-2-7b, llama-3.1-8b
"""

import json
import math
import pathlib
import struct
import sys

SHAPES = {
    "llama-2-7b": {"hidden": 4096, "mlp": 11008, "layers": 32, "heads": 32, "kv_heads": 32, "vocabulary": 32000},
    "llama-3.1-8b": {"hidden": 4096, "mlp": 14336, "layers": 32, "heads": 32, "kv_heads": 8, "vocabulary": 128256},
}
SHARD_BYTES = 5 * 10**9


def tensors(shape):
    """(name, shape) of every tensor, in the order of the model; the head is not tied."""
    hidden, mlp = shape["hidden"], shape["mlp"]
    kv = hidden // shape["heads"] * shape["kv_heads"]
    yield "model.embed_tokens.weight", (shape["vocabulary"], hidden)
    for layer in range(shape["layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "self_attn.q_proj.weight", (hidden, hidden)
        yield prefix + "self_attn.k_proj.weight", (kv, hidden)
        yield prefix + "self_attn.v_proj.weight", (kv, hidden)
        yield prefix + "self_attn.o_proj.weight", (hidden, hidden)
        yield prefix + "mlp.gate_proj.weight", (mlp, hidden)
        yield prefix + "mlp.up_proj.weight", (mlp, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, mlp)
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (shape["vocabulary"], hidden)


def split(everything):
    """Shards of at most SHARD_BYTES."""
    shards, size = [[]], 0
    for name, shape in everything:
        bytes_here = 2 * math.prod(shape)
        if size + bytes_here > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += bytes_here
    return shards


def write_shard(path, entries):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in entries:
        end = at + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)


def write_checkpoint(folder, name, note="base"):
    """`note` goes into config.json, so that a base and its fine-tune differ in a small file too."""
    folder, shape = pathlib.Path(folder), SHAPES[name]
    folder.mkdir(parents=True, exist_ok=True)
    shards, weight_map = split(tensors(shape)), {}
    for number, entries in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(folder / file, entries)
        weight_map |= {tensor: file for tensor, _ in entries}
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": shape["hidden"],
              "intermediate_size": shape["mlp"], "num_hidden_layers": shape["layers"],
              "num_attention_heads": shape["heads"], "num_key_value_heads": shape["kv_heads"],
              "vocab_size": shape["vocabulary"], "tie_word_embeddings": False, "torch_dtype": "bfloat16",
              "_name_or_path": note}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


if __name__ == "__main__":
    write_checkpoint(sys.argv[1], sys.argv[2])
