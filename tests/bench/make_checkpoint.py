"""Writes a sharded Llama-shaped checkpoint of random bfloat16 weights, and a fine-tune of it.

usage: make_checkpoint.py FOLDER GIGABYTES      makes FOLDER/base and FOLDER/fine
"""

import json
import pathlib
import struct
import sys

import numpy as np

HIDDEN, MLP, VOCABULARY = 4096, 11008, 32000
LAYER = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (HIDDEN, HIDDEN),
         "self_attn.v_proj": (HIDDEN, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
         "mlp.gate_proj": (MLP, HIDDEN), "mlp.up_proj": (MLP, HIDDEN), "mlp.down_proj": (HIDDEN, MLP),
         "input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,)}
LAYERS_A_SHARD = 4


def layer_shapes(layer):
    return {f"model.layers.{layer}.{name}.weight": shape for name, shape in LAYER.items()}


def shard_shapes(layers):
    """Per shard {tensor: shape}: the embedding, then a few layers each, then norm and head."""
    yield {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for first in range(0, layers, LAYERS_A_SHARD):
        shapes = {}
        for layer in range(first, min(first + LAYERS_A_SHARD, layers)):
            shapes |= layer_shapes(layer)
        yield shapes
    yield {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}


def size_of(shapes):
    return sum(2 * int(np.prod(shape)) for shape in shapes.values())


def to_bfloat16(values):
    words = values.view(np.uint32)
    return ((words + np.uint32(0x7FFF) + ((words >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


def random_weights(generator, count):
    return generator.standard_normal(count, dtype=np.float32) * np.float32(0.02)


def write_shard(paths, shapes, generator):
    """One shard of base and fine-tune, tensor by tensor."""
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(paths[0], "wb") as base, open(paths[1], "wb") as fine:
        for file in (base, fine):
            file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            count = int(np.prod(shape))
            weights = random_weights(generator, count)
            base.write(to_bfloat16(weights).tobytes())
            # Exact zeros are rare after this change, as in a full fine-tune.
            weights += random_weights(generator, count) * np.float32(0.1)
            fine.write(to_bfloat16(weights).tobytes())


def write_small_files(folder, layers, weight_map):
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN,
              "intermediate_size": MLP, "num_hidden_layers": layers, "num_attention_heads": 32,
              "num_key_value_heads": 32, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5,
              "max_position_embeddings": 4096, "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def main(folder, gigabytes):
    folder = pathlib.Path(folder)
    ends = 2 * 2 * VOCABULARY * HIDDEN
    layers = max(1, round((gigabytes * 1e9 - ends) / size_of(layer_shapes(0))))
    shards = list(shard_shapes(layers))
    generator = np.random.default_rng(1)
    weight_map = {}
    folders = [folder / "base", folder / "fine"]
    for each in folders:
        each.mkdir(parents=True, exist_ok=True)
    for number, shapes in enumerate(shards, 1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard([each / name for each in folders], shapes, generator)
        weight_map |= {tensor: name for tensor in shapes}
    for each in folders:
        write_small_files(each, layers, weight_map)
    print(f"{layers} layers, {len(shards)} shards, {sum(map(size_of, shards)) / 1e9:.2f} GB each")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
