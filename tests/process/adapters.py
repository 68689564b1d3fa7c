"""Makes PEFT LoRA adapters for the small family, as peft's save_pretrained writes them."""

import json

import numpy as np

from formula import narrow, serialize


def write_adapter(folder, base, rank=4, alpha=8, dtype="F32", size=0.02, modules=("q_proj", "down_proj"), **config):
    """`base` is the base's {name: (dtype, shape, bytes)}; returns {weight: (scale, A, B)}, float32."""
    generator, tensors, factors = np.random.default_rng(1), {}, {}
    for name, (_, shape, _) in sorted(base.items()):
        if not name.endswith(tuple(f".{module}.weight" for module in modules)):
            continue
        a = generator.standard_normal((rank, shape[1])).astype(np.float32) * np.float32(size)
        b = generator.standard_normal((shape[0], rank)).astype(np.float32) * np.float32(size)
        module = "base_model.model." + name.removesuffix(".weight")
        tensors[f"{module}.lora_A.weight"] = (dtype, a.shape, narrow(a, dtype))
        tensors[f"{module}.lora_B.weight"] = (dtype, b.shape, narrow(b, dtype))
        factors[name] = (np.float32(alpha / rank), tensors[f"{module}.lora_A.weight"],
                         tensors[f"{module}.lora_B.weight"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(serialize(tensors, {"format": "pt"}))
    (folder / "adapter_config.json").write_text(json.dumps(
        {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "bias": "none", "fan_in_fan_out": False,
         "use_rslora": False, "use_dora": False, "modules_to_save": None, "rank_pattern": {}, "alpha_pattern": {},
         "target_modules": list(modules), "task_type": "CAUSAL_LM", "init_lora_weights": True,
         "base_model_name_or_path": "base"} | config))
    (folder / "README.md").write_text("an adapter")
    return factors
