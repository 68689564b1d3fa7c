"""signum.torch against checkpoints that the registry rebuilt. Run by python_test.py with a Python that has torch.

usage: torch_check.py modules|llama REGISTRY TOKEN BASE_FOLDER CHECKPOINTS MODEL...
"""

import json
import pathlib
import sys
import types

import torch

import signum
import signum.torch
from formula import parse

TYPES = {"BF16": torch.bfloat16, "F32": torch.float32}


def read(path):
    """{name: tensor} of a safetensors file."""
    return {name: torch.frombuffer(bytearray(data), dtype=TYPES[dtype]).reshape(shape)
            for name, (dtype, shape, data) in parse(path.read_bytes())[0].items()}


def tree(tensors):
    """Modules with a checkpoint's names: 2-D ones are Linear but for the embedding, others hold their parameter."""
    root = torch.nn.Module()
    for name, value in tensors.items():
        *path, last, attribute = name.split(".")
        parent = root
        for step in path:
            if step not in parent._modules:
                parent.add_module(step, torch.nn.Module())
            parent = parent._modules[step]
        if last == "embed_tokens":
            module = torch.nn.Embedding(*value.shape)
        elif value.dim() == 2:
            module = torch.nn.Linear(value.shape[1], value.shape[0], bias=False)
        else:
            module = torch.nn.Module()
        module.register_parameter(attribute, torch.nn.Parameter(value.clone(), requires_grad=False))
        parent.add_module(last, module)
    return root


def at(root, name):
    for step in name.split("."):
        root = root._modules[step]
    return root


def answer(module, weight):
    """What a module says to an input that its weight's shape gives."""
    if weight.dim() == 1:
        return module.weight
    if "mbedding" in type(module).__name__:
        return module(torch.arange(weight.shape[0]).reshape(1, -1))
    generator = torch.Generator().manual_seed(3)
    return module(torch.randn(2, 5, weight.shape[1], generator=generator).to(module.weight.dtype))


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def check_modules(lease, base, fine):
    """Weights rebuilt bit for bit; each module alone, in both modes; the base comes back."""
    for name, weight in lease.weights.items():
        assert same_bits(signum.torch.rebuild(weight, base.get(name)), fine[name]), name
    model, reference = tree(base), tree(fine)
    before = {name: id(parameter) for name, parameter in model.named_parameters()}
    with signum.torch.apply(model, lease, mode="rebuild"):
        for name, weight in fine.items():
            path = name.rsplit(".", 1)[0]
            assert same_bits(answer(at(model, path), weight), answer(at(reference, path), weight)), name
    model, base32 = model.to(torch.float32), {name: value.to(torch.float32) for name, value in base.items()}
    exact = {n: signum.torch.rebuild(w, base32[n]).to(torch.float32) for n, w in lease.weights.items()}
    reference = tree(exact)
    applied = signum.torch.apply(model, lease)
    for name, weight in exact.items():
        path = name.rsplit(".", 1)[0]
        torch.testing.assert_close(answer(at(model, path), weight), answer(at(reference, path), weight),
                                   rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    shared = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    applied.remove()
    applied.remove()
    assert {name: id(parameter) for name, parameter in model.named_parameters()} == before
    kept = {parameter.data_ptr() for parameter in model.parameters()}
    assert kept & set(shared.values()), "the base's weights are used where they are"


def check_tied(lease, base, fine):
    """A head that shares the embedding's table shares its delta."""
    table = "model.embed_tokens.weight"
    model = tree({table: base[table], "lm_head.weight": base[table]})
    head, embedding = at(model, "lm_head"), at(model, "model.embed_tokens")
    head.weight = embedding.weight
    with signum.torch.apply(model, types.SimpleNamespace(weights={table: lease.weights[table]}), mode="rebuild"):
        reference = tree({"lm_head.weight": fine[table]})
        assert same_bits(answer(at(model, "lm_head"), fine[table]), answer(at(reference, "lm_head"), fine[table]))
        assert same_bits(answer(at(model, "model.embed_tokens"), fine[table])[0], fine[table])
    assert at(model, "lm_head") is head and head.weight is embedding.weight


def check_refusals(lease, base):
    """A model that is not the delta's base is left as it was."""
    for change in (lambda t: t.pop("model.norm.weight"), lambda t: t.update({"more.weight": torch.ones(3)}),
                   lambda t: t.update({"model.layers.0.mlp.down_proj.weight": torch.ones(192, 40)})):
        tensors = dict(base)
        change(tensors)
        model = tree(tensors)
        modules = [type(module) for module in model.modules()]
        try:
            signum.torch.apply(model, lease)
        except ValueError as error:
            assert "model" in str(error) or "delta" in str(error)
        else:
            raise AssertionError("a model that does not fit was taken")
        assert [type(module) for module in model.modules()] == modules


def llama(config, tensors):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**{**config, "vocab_size": tensors["model.embed_tokens.weight"].shape[0]})
    model = LlamaForCausalLM(config).to(next(iter(tensors.values())).dtype).eval()
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    return model


def check_llama(lease, base, fine, config):
    """Logits of a transformers Llama."""
    tokens = torch.randint(0, 4096, (2, 24), generator=torch.Generator().manual_seed(5))
    model = llama(config, base)
    with torch.no_grad():
        plain = model(tokens).logits
        with signum.torch.apply(model, lease, mode="rebuild"):
            assert same_bits(model(tokens).logits, llama(config, fine)(tokens).logits)
        assert same_bits(model(tokens).logits, plain)
        base32 = {name: value.to(torch.float32) for name, value in base.items()}
        model = llama(config, base32)
        exact = {n: signum.torch.rebuild(w, base32[n]).to(torch.float32) for n, w in lease.weights.items()}
        with signum.torch.apply(model, lease):
            logits = model(tokens).logits
            torch.testing.assert_close(logits, llama(config, exact)(tokens).logits, rtol=1e-3, atol=1e-3)
            # The checkpoint's weights are rounded to bfloat16, the sum of base and delta is not.
            rounded = llama(config, {n: v.to(torch.float32) for n, v in fine.items()})(tokens).logits
            moved = (rounded[..., :4096] - llama(config, base32)(tokens).logits).square().mean()
            lost = (logits - rounded).square().mean()
            print(f"squared error of logits for the rounding: {lost:.2e}, of what the delta moved: {moved:.2e}")
            assert lost < 0.02 * moved
            grown = model.generate(tokens[:1, :8], max_new_tokens=4, do_sample=False)
            assert grown.shape == (1, 12)


def check_lifetime(node, base):
    """The applied model alone keeps the generation."""
    lease = node.acquire("acme/signs")
    model = tree(base)
    applied = signum.torch.apply(model, lease)
    lease.release()
    holders = [m["leases"] for m in node.residency()["models"] if m["model"] == "signs"]
    assert holders == [1], holders
    answer(at(model, "lm_head"), base["lm_head.weight"])
    applied.remove()
    holders = [m["leases"] for m in node.residency()["models"] if m["model"] == "signs"]
    assert holders == [0], holders


def main(what, registry, token, folder, checkpoints, *models):
    folder, checkpoints = pathlib.Path(folder), pathlib.Path(checkpoints)
    base, config = read(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    cache = checkpoints / f"cache-{what}-{torch.__version__}"
    with signum.Node(registry, ["acme"], token=token, cache=cache, memory=64 << 20, name=f"torch-{what}") as node:
        for model in models:
            fine = read(checkpoints / f"{model}.safetensors")
            with node.acquire(f"acme/{model}") as lease:
                if what == "modules":
                    check_modules(lease, base, fine)
                    check_tied(lease, base, fine)
                    if model == "signs":  # the one whose every matrix has parts
                        check_refusals(lease, base)
                else:
                    check_llama(lease, base, fine, config)
        if what == "modules":
            check_lifetime(node, base)
    print("torch", torch.__version__)
    print(f"checked {len(models)} models")


main(*sys.argv[1:])
