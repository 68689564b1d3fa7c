"""The peer of distill_bench: the same training of scales in PyTorch, on the CPU.

usage: distill_torch.py BASE_DIR FINE_DIR TOKENS [--steps N] [--batch N] [--embeddings onebit|exact]
                        [--teacher cached|each-step] [--threads N]

A Llama whose weights are W_base + s_row * S * s_col (S = sign of the difference, 0 where there is none), all
scales trained by AdamW on the mean squared error of the logits against the fine-tune's (BitDelta, arXiv
2402.10193, section 3.1). TOKENS: one row of ids a line, the last id of each left out. Prints one line of JSON:
steps a second over all steps but the first, and the first and last loss.
"""

import argparse
import json
import math
import pathlib
import struct
import time

import numpy
import torch
import torch.nn.functional as F

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
NUMPY = {"BF16": numpy.int16, "F16": numpy.float16, "F32": numpy.float32}


def load(folder):
    """Every tensor of model.safetensors as float32, by the format's own description."""
    data = (pathlib.Path(folder) / "model.safetensors").read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    tensors = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        values = numpy.frombuffer(data, NUMPY[entry["dtype"]], offset=8 + size + first,
                                  count=math.prod(entry["shape"])).copy()
        tensor = torch.from_numpy(values)
        if entry["dtype"] == "BF16":
            tensor = tensor.view(torch.bfloat16)
        tensors[name] = tensor.reshape(entry["shape"]).float()
    return tensors


class Weights:
    """base + scales * signs for matrices; the fine-tune's for what has no signs."""

    def __init__(self, base, fine, onebit_embeddings):
        self.fixed, self.base, self.signs, self.scales = {}, {}, {}, {}
        for name, value in fine.items():
            row_only = name in ("model.embed_tokens.weight", "lm_head.weight")
            if value.dim() != 2 or (row_only and not onebit_embeddings):
                self.fixed[name] = value
                continue
            difference = value - base[name]
            self.base[name], self.signs[name] = base[name], difference.sign()
            count = difference.ne(0).sum(1).clamp(min=1)
            row = torch.nn.Parameter(difference.abs().sum(1) / count)
            self.scales[name] = [row] if row_only else [row, torch.nn.Parameter(torch.ones(value.shape[1]))]

    def groups(self, rate):
        for scales in self.scales.values():
            for scale in scales:
                yield {"params": [scale], "lr": rate * scale.detach().mean().item()}

    def __call__(self):
        weights = dict(self.fixed)
        for name, scales in self.scales.items():
            delta = scales[0][:, None] * self.signs[name]
            weights[name] = self.base[name] + (delta if len(scales) == 1 else delta * scales[1])
        return weights


def rotate(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), -1)


class Llama:
    def __init__(self, config, tokens):
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        assert config["num_key_value_heads"] == self.heads, "one key head a query head"
        self.head_size, self.epsilon = config["head_dim"], config["rms_norm_eps"]
        periods = config["rope_theta"] ** (-torch.arange(0, self.head_size, 2) / self.head_size)
        angles = torch.arange(tokens)[:, None] * periods
        self.cos, self.sin = torch.cat((angles, angles), -1).cos(), torch.cat((angles, angles), -1).sin()
        self.mask = torch.full((tokens, tokens), -math.inf).triu(1)

    def norm(self, x, weight):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * weight

    def attention(self, x, weights, prefix):
        rows, tokens, _ = x.shape

        def heads(part):
            return F.linear(x, weights[f"{prefix}{part}_proj.weight"]).view(rows, tokens, self.heads, -1).transpose(1, 2)

        q, k, v = heads("q"), heads("k"), heads("v")
        q, k = (y * self.cos + rotate(y) * self.sin for y in (q, k))
        scores = q @ k.transpose(-1, -2) / math.sqrt(self.head_size) + self.mask
        out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(rows, tokens, -1)
        return F.linear(out, weights[f"{prefix}o_proj.weight"])

    def mlp(self, x, weights, prefix):
        gate, up = (F.linear(x, weights[f"{prefix}{part}_proj.weight"]) for part in ("gate", "up"))
        return F.linear(F.silu(gate) * up, weights[f"{prefix}down_proj.weight"])

    def __call__(self, ids, weights):
        x = F.embedding(ids, weights["model.embed_tokens.weight"])
        for i in range(self.layers):
            layer = f"model.layers.{i}."
            x = x + self.attention(self.norm(x, weights[layer + "input_layernorm.weight"]), weights, layer + "self_attn.")
            x = x + self.mlp(self.norm(x, weights[layer + "post_attention_layernorm.weight"]), weights, layer + "mlp.")
        return F.linear(self.norm(x, weights["model.norm.weight"]), weights["lm_head.weight"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base"), parser.add_argument("fine"), parser.add_argument("tokens")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.03, help="in units of a vector of scales' mean")
    parser.add_argument("--embeddings", choices=["onebit", "exact"], default="onebit")
    parser.add_argument("--teacher", choices=["cached", "each-step"], default="cached")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = torch.tensor([[int(i) for i in line.split()] for line in open(options.tokens)])[:, :-1]
    model = Llama(json.loads((pathlib.Path(options.base) / "config.json").read_text()), rows.shape[1])
    fine = load(options.fine)
    student = Weights(load(options.base), fine, options.embeddings == "onebit")
    adamw = torch.optim.AdamW(student.groups(options.rate), weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adamw, options.steps)
    with torch.no_grad():
        cached = torch.cat([model(row[None], fine) for row in rows]) if options.teacher == "cached" else None
    losses, begin = [], time.perf_counter()
    for step in range(options.steps):
        if step == 1:
            begin = time.perf_counter()
        pick = torch.randperm(len(rows))[:options.batch]
        with torch.no_grad():
            target = cached[pick] if cached is not None else model(rows[pick], fine)
        loss = F.mse_loss(model(rows[pick], student()), target)
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        schedule.step()
        losses.append(loss.item())
    took = time.perf_counter() - begin
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "teacher": options.teacher,
                      "embeddings": options.embeddings, "steps_per_second": (options.steps - 1) / took,
                      "first_loss": losses[0], "last_loss": losses[-1]}))


if __name__ == "__main__":
    main()
