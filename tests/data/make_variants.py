#!/usr/bin/env python3
"""Makes tests/data/golden/variants: a small random model of every supported kind, and what PyTorch computes of it.

Run with torch 2.4.1 (CPU), transformers 4.51.3 and safetensors 0.8.0:
    python tests/data/make_variants.py tests/data/golden/variants
The models and all arithmetic are Hugging Face's own classes in float32 with eager attention; only the mask is given
by layer, because 4.51.3's eager path applies a sliding window to all layers or none, whatever max_window_layers and
use_sliding_window say (its flash path and later versions go by the layer, as here).

A folder holds config.json and model.safetensors (the base, bf16), fine.safetensors (a perturbation of it) and
golden.safetensors:
    tokens                        I64 [rows, tokens]
    base.logits, fine.logits      F32 [rows, tokens, vocabulary]
    KIND.PART                     the scales of a delta from base to fine, PART named as in a delta file
    KIND.LOSS.loss                the loss of base + delta against the fine-tune, LOSS mse or kl
    KIND.LOSS.grad.PART           its gradient (autograd through W + s_row * S * s_col)
with KIND tensor, row or row+col.
"""

import json
import math
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from torch.func import functional_call

SHAPE = dict(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=80, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
# name: model_type, config beside SHAPE, tokens a row
VARIANTS = {
    "llama3": ("llama", dict(rope_theta=500000.0, rope_scaling=LLAMA3, max_position_embeddings=512), 40),
    "llama-linear": ("llama", dict(num_key_value_heads=4, rope_scaling=dict(rope_type="linear", factor=4.0)), 32),
    "llama2-tied": ("llama", dict(num_key_value_heads=4, tie_word_embeddings=True), 24),
    "llama-head-dim": ("llama", dict(head_dim=16, attention_bias=True, mlp_bias=True), 24),
    "mistral": ("mistral", dict(head_dim=12, sliding_window=7), 32),
    "qwen2": ("qwen2", dict(tie_word_embeddings=True, rope_theta=1e6, use_sliding_window=True, sliding_window=6,
                            max_window_layers=1), 32),
    "qwen3": ("qwen3", dict(head_dim=16, rope_theta=1e6, use_sliding_window=False, sliding_window=5,
                            max_window_layers=1), 32),
}
ROWS = 3


def window_of(config, layer):
    """Keys that a query of a layer sees, itself included; None: all before it."""
    window = getattr(config, "sliding_window", None)
    if config.model_type.startswith("qwen"):
        return window if config.use_sliding_window and layer >= config.max_window_layers else None
    return window


def mask_of(config, layer, tokens):
    distance = torch.arange(tokens)[:, None] - torch.arange(tokens)[None, :]
    window = window_of(config, layer)
    hidden = (distance < 0) if window is None else (distance < 0) | (distance >= window)
    return torch.zeros(tokens, tokens).masked_fill(hidden, torch.finfo(torch.float32).min)[None, None]


def make_model(name):
    kind, changes, tokens = VARIANTS[name]
    config = transformers.AutoConfig.for_model(kind, **{**SHAPE, **changes}, torch_dtype="bfloat16",
                                               bos_token_id=None, eos_token_id=None)
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    for index, layer in enumerate(model.model.layers):
        mask = mask_of(config, index, tokens)

        def by_layer(_, args, kwargs, mask=mask):
            return args, {**kwargs, "attention_mask": mask}
        layer.register_forward_pre_hook(by_layer, with_kwargs=True)
    return config, model, tokens


def named(model):
    return {name: tensor.detach() for name, tensor in model.named_parameters()}


def bf16(tensor):
    return tensor.to(torch.bfloat16).float()


def base_weights(model):
    """Large enough that attention is not uniform and every part of the model tells in the logits."""
    out = {}
    for name, tensor in named(model).items():
        noise = torch.randn(tensor.shape)
        if "norm" in name:
            out[name] = 1 + 0.2 * noise
        elif name.endswith(".bias"):
            out[name] = 0.3 * noise
        elif "embed" in name:
            out[name] = 0.7 * noise
        else:
            out[name] = (1.6 if "q_proj" in name or "k_proj" in name else 1.0) * noise / math.sqrt(tensor.shape[1])
        out[name] = bf16(out[name])
    return out


def fine_weights(base):
    """Everything moves by about a fifth, but one row in seven of the vocabulary, and most of one weight (sparse)."""
    out = {}
    for name, tensor in base.items():
        step = 0.2 * tensor.std() * torch.randn(tensor.shape)
        if "embed" in name or "lm_head" in name:
            step[::7] = 0
        if name.endswith("layers.1.mlp.down_proj.weight"):
            step[torch.rand(tensor.shape) < 0.6] = 0
        out[name] = bf16(tensor + step)
    return out


def has_signs(tensor):
    return tensor.dim() == 2 and tensor.numel() >= 1024 and min(tensor.shape) >= 8


class Delta:
    """The signs of one weight, and its scales, named as in a delta file."""

    def __init__(self, name, kind, base, fine):
        self.name, self.base = name, base
        difference = fine - base
        self.vocabulary = "embed" in name or "lm_head" in name
        self.rows = (difference != 0).any(dim=1).nonzero()[:, 0] if self.vocabulary else torch.arange(len(base))
        difference = difference[self.rows]
        self.signs = torch.where(difference > 0, 1.0, -1.0)
        if not self.vocabulary and (difference == 0).float().mean() >= 0.5:
            self.signs[difference == 0] = 0
        size = difference.abs()
        wobble = lambda n: 0.7 + 0.6 * torch.rand(n)
        if kind == "tensor" and not self.vocabulary:
            self.scales = {".scale": (size.mean() * wobble(1))}
        else:
            self.scales = {".scale.row": size.mean(dim=1) * wobble(len(self.rows))}
            if kind == "row+col" and not self.vocabulary:
                self.scales[".scale.col"] = wobble(base.shape[1])
        self.scales = {part: values.clone().requires_grad_() for part, values in self.scales.items()}

    def weight(self):
        scale = self.scales[".scale"] if ".scale" in self.scales else self.scales[".scale.row"][:, None]
        if ".scale.col" in self.scales:
            scale = scale * self.scales[".scale.col"]
        return self.base.index_add(0, self.rows, self.signs * scale)


def losses(student, teacher):
    log_student, log_teacher = student.log_softmax(-1), teacher.log_softmax(-1)
    kl = (log_teacher.exp() * (log_teacher - log_student)).sum(-1).mean()
    return {"mse": ((student - teacher) ** 2).mean(), "kl": kl}


def make(name, folder):
    torch.manual_seed(sorted(VARIANTS).index(name) + 1)
    config, model, tokens = make_model(name)
    base = base_weights(model)
    fine = fine_weights(base)
    ids = torch.randint(0, config.vocab_size, (ROWS, tokens))

    def logits(weights):
        return functional_call(model, weights, (ids,), dict(use_cache=False)).logits

    with torch.no_grad():
        golden = {"tokens": ids, "base.logits": logits(base), "fine.logits": logits(fine)}
    teacher = golden["fine.logits"]
    for kind in ("tensor", "row", "row+col"):
        deltas = [Delta(each, kind, base[each], fine[each]) for each in base if has_signs(base[each])]
        scales = {d.name + part: values for d in deltas for part, values in d.scales.items()}
        golden.update({f"{kind}.{part}": values.detach() for part, values in scales.items()})
        student = logits({**fine, **{d.name: d.weight() for d in deltas}})
        for loss, value in losses(student, teacher).items():
            gradients = torch.autograd.grad(value, list(scales.values()), retain_graph=True)
            golden[f"{kind}.{loss}.loss"] = value.detach()[None]
            golden.update({f"{kind}.{loss}.grad.{part}": g for part, g in zip(scales, gradients)})
        print(f"{name} {kind}:", {k: round(v.item(), 4) for k, v in losses(student, teacher).items()})

    out = folder / name
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(config.to_diff_dict(), indent=2, sort_keys=True) + "\n")
    for file, weights in (("model", base), ("fine", fine)):
        save_file({n: w.to(torch.bfloat16).contiguous() for n, w in weights.items()}, out / f"{file}.safetensors")
    save_file({n: t.contiguous() for n, t in golden.items()}, out / "golden.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for variant in VARIANTS:
        make(variant, pathlib.Path(sys.argv[1]))
