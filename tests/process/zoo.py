"""Fine-tunes of the small family that between them use every codec, published under one tenant."""

import json

import numpy as np

from adapters import write_adapter
from api import Api, files_of
from formula import narrow, parse, serialize, widen
from programs import FAMILY, Registry

BASE = parse((FAMILY / "base/model.safetensors").read_bytes())[0]
GROWN = 3  # rows that a vocabulary gains
MODELS = ("signs", "planes", "factors", "sparse")


def changed_here_and_there(tensor, generator, share):
    """A tensor with so much of its weights moved."""
    dtype, shape, _ = tensor
    values = widen(tensor)
    moved = generator.random(values.shape) < share
    values = np.where(moved, values + generator.choice([-0.02, 0.02], values.shape).astype(np.float32), values)
    return dtype, shape, narrow(values, dtype)


def grown(tensor, generator):
    """A vocabulary with two rows changed and some at the end that the base lacks."""
    dtype, shape, _ = tensor
    values = widen(tensor)
    values[[5, 900]] += np.float32(0.03)
    more = generator.standard_normal((GROWN, shape[1])).astype(np.float32) * np.float32(0.02)
    return dtype, [shape[0] + GROWN, shape[1]], narrow(np.concatenate([values, more]), dtype)


def write_sparse(folder):
    """A fine-tune that touches few weights, and new tokens."""
    generator, tensors = np.random.default_rng(7), dict(BASE)
    for name, tensor in BASE.items():
        if "q_proj" in name or "up_proj" in name:
            tensors[name] = changed_here_and_there(tensor, generator, 0.1)
        if "embed_tokens" in name or "lm_head" in name:
            tensors[name] = grown(tensor, generator)
    folder.mkdir()
    for path, file in files_of(FAMILY / "base").items():
        (folder / path).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] += GROWN
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(serialize(tensors, {"format": "pt"}))
    return folder


class Zoo:
    """A registry with acme/signs, acme/planes, acme/factors and acme/sparse; acme/signs has a second version."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.registry = Registry(folder)
        self.admin = Api(self.registry.url, self.registry.token)
        self.admin.push_base("base", FAMILY / "base")
        write_adapter(folder / "adapter", BASE, rank=3, alpha=7)
        self.admin.publish("acme/signs", FAMILY / "kjv")
        self.admin.publish("acme/signs", FAMILY / "sqlite")
        self.admin.publish("acme/planes", FAMILY / "pysrc", planes=2, scales="row")
        self.admin.publish("acme/factors", folder / "adapter")
        self.admin.publish("acme/sparse", write_sparse(folder / "sparse"))
        self.token = self.admin.create_token("node", "acme")

    def delta(self, model, version=1):
        return self.admin.get(f"/v1/tenants/acme/models/{model}/versions/{version}/delta").content

    def checkpoint(self, model, version=1):
        path = f"/v1/tenants/acme/models/{model}/versions/{version}/checkpoint/model.safetensors?fidelity=onebit"
        return self.admin.get(path).content
