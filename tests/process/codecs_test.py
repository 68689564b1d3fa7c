"""Planes, low rank, budgets and adapters: offline and through a registry, against format.md's formulas."""

import json

import numpy as np
import pytest

from adapters import write_adapter
from api import files_of
from formula import Delta, narrow, parse, serialize, widen
from programs import FAMILY, signum

BASE = parse((FAMILY / "base/model.safetensors").read_bytes())[0]


def diff(fine, delta, *options, expect=0):
    done = signum("diff", FAMILY / "base", fine, "-o", delta, "--method", "none", *options, "--json")
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout) if expect == 0 else done.stderr


def check_rebuilt(delta, fine_tensors, tmp_path):
    """Applies a delta and compares every weight with the formula; the rebuilt {name: tensor}."""
    done = signum("apply", FAMILY / "base", delta, "-o", tmp_path / "rebuilt")
    assert done.returncode == 0, done.stderr
    assert signum("verify", delta).returncode == 0
    rebuilt = parse((tmp_path / "rebuilt/model.safetensors").read_bytes())[0]
    parts = Delta(delta.read_bytes())
    for name, (dtype, _, _) in fine_tensors.items():
        assert rebuilt[name][2] == parts.rebuild(name, BASE.get(name), dtype), name
    return rebuilt


def squared_error(a, b):
    return sum(float(np.sum((widen(a[name]) - widen(b[name])).astype(np.float64) ** 2)) for name in b)


@pytest.mark.parametrize("scales", ["tensor", "row", "row+col"])
def test_planes_follow_the_formula(scales, tmp_path):
    fine = parse((FAMILY / "kjv/model.safetensors").read_bytes())[0]
    errors = []
    for planes in (1, 3):
        delta = tmp_path / f"{planes}.delta"
        report = diff(FAMILY / "kjv", delta, "--planes", planes, "--scales", scales)
        assert report["linear"]["bits_per_weight"] >= planes
        errors.append(squared_error(check_rebuilt(delta, fine, tmp_path), fine))
    assert errors[1] < errors[0] / 5


def test_merged_lora_becomes_low_rank(tmp_path):
    """The base with a LoRA merged in and rounded, as merge_and_unload saves it."""
    factors = write_adapter(tmp_path / "adapter", BASE, rank=2, size=0.04)
    merged = dict(BASE)
    for name, (scale, a, b) in factors.items():
        dtype, shape, _ = BASE[name]
        merged[name] = (dtype, shape, narrow(widen(BASE[name]) + scale * (widen(b) @ widen(a)), dtype))
    fine = tmp_path / "merged"
    fine.mkdir()
    for path, file in files_of(FAMILY / "base").items():
        (fine / path).write_bytes(file.read_bytes())
    (fine / "model.safetensors").write_bytes(serialize(merged))
    delta = tmp_path / "a.delta"
    diff(fine, delta)
    parts = Delta(delta.read_bytes())
    assert all(parts.codec(name) == ("lowrank" if name in factors else "same") for name in BASE)
    ranks = [parts.parts[f"{name}.lora_a"][1][0] for name in factors]
    assert min(ranks) == 2 and sorted(ranks)[len(ranks) // 2] == 2, ranks  # rounding may add a direction of its own
    rebuilt = check_rebuilt(delta, merged, tmp_path)
    signs = tmp_path / "b.delta"
    assert delta.stat().st_size < (fine / "model.safetensors").stat().st_size / 15
    changed = squared_error(BASE, merged)
    assert squared_error(rebuilt, merged) < 0.02 * changed
    assert diff(FAMILY / "kjv", signs, "--codec", "lowrank")["linear"]["bits_per_weight"] < 1.5


def test_budget_is_kept_and_used(tmp_path):
    upload = sum(f.stat().st_size for f in files_of(FAMILY / "kjv").values())
    errors = []
    for budget in ("12x", str(upload // 4)):
        delta = tmp_path / f"{budget}.delta"
        report = diff(FAMILY / "kjv", delta, "--budget", budget)
        limit = upload / 12 if budget == "12x" else upload // 4
        assert 0.9 * limit < report["size"] <= limit
        assert sum(report["choices"].values()) == len(BASE)
        errors.append(report["squared_error"])
        check_rebuilt(delta, BASE, tmp_path)
    assert errors[1] < errors[0]


@pytest.mark.parametrize("options, code, text", [
    (("--budget", "1000"), 4, "at least"), (("--budget", "none"), 2, "none"), (("--budget", "0.5x"), 2, "0.5x"),
    (("--budget", "12x", "--planes", "2"), 2, "beside"), (("--planes", "0"), 2, "planes")])
def test_wrong_options_are_named(options, code, text, tmp_path):
    assert text in diff(FAMILY / "kjv", tmp_path / "a.delta", *options, expect=code)
    assert not (tmp_path / "a.delta").exists()


def check_adapted(rebuilt, factors):
    """Every weight is base + scale B A in the base's dtype, or the base's."""
    for name, tensor in BASE.items():
        if name not in factors:
            assert rebuilt[name] == tensor
            continue
        scale, a, b = factors[name]
        wanted = widen(tensor) + scale * (widen(b) @ widen(a))
        np.testing.assert_allclose(widen(rebuilt[name]), wanted, rtol=2 ** -7, atol=1e-6)


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_adapter_offline(dtype, tmp_path):
    factors = write_adapter(tmp_path / "adapter", BASE, rank=3, alpha=7, dtype=dtype)
    delta = tmp_path / "a.delta"
    report = diff(tmp_path / "adapter", delta)
    parts = Delta(delta.read_bytes())
    for name, (_, a, b) in factors.items():
        assert parts.codec(name) == "lowrank"
        assert parts.parts[f"{name}.lora_a"][2] == a[2] and parts.parts[f"{name}.lora_b"][2] == b[2]
    assert report["upload"] == sum(f.stat().st_size for f in files_of(tmp_path / "adapter").values())
    rebuilt = check_rebuilt(delta, BASE, tmp_path)
    check_adapted(rebuilt, factors)
    for path, file in files_of(FAMILY / "base").items():
        if path != "model.safetensors":
            assert (tmp_path / "rebuilt" / path).read_bytes() == file.read_bytes()


REFUSED = [({"use_dora": True}, "use_dora"), ({"bias": "all"}, "bias"), ({"modules_to_save": ["lm_head"]}, "modules"),
           ({"fan_in_fan_out": True}, "fan_in"), ({"peft_type": "IA3"}, "peft_type"), ({"r": 5}, "rank"),
           ({"lora_alpha": 0}, "lora_alpha"), ({"rank_pattern": {"q.*": 3}}, "regular"),
           ({"init_lora_weights": "pissa"}, "pissa")]


@pytest.mark.parametrize("config, text", REFUSED)
def test_adapters_that_are_more_than_factors_are_refused(config, text, tmp_path):
    write_adapter(tmp_path / "adapter", BASE, **config)
    assert text in diff(tmp_path / "adapter", tmp_path / "a.delta", expect=4)


def test_adapter_of_another_base_is_refused(tmp_path):
    wide = {name: (dtype, [shape[0], *(n + 8 for n in shape[1:])], data)
            for name, (dtype, shape, data) in BASE.items()}
    write_adapter(tmp_path / "adapter", wide)
    assert "down_proj" in diff(tmp_path / "adapter", tmp_path / "a.delta", expect=4)


def test_adapter_as_a_version(registry, admin, tmp_path):
    admin.push_base("base", FAMILY / "base")
    factors = write_adapter(tmp_path / "adapter", BASE, rank=3, alpha=7)
    for options in ({}, {"keep_exact": False}):
        version = admin.publish("acme/chat", tmp_path / "adapter", **options)
        path = f"/v1/tenants/acme/models/chat/versions/{version['version']}"
        delta = admin.get(path + "/delta").content
        assert all(Delta(delta).codec(name) == "lowrank" for name in factors)
        rebuilt = admin.get(path + "/checkpoint/model.safetensors?fidelity=onebit").content
        check_adapted(parse(rebuilt)[0], factors)
        for name, file in files_of(FAMILY / "base").items():
            if name != "model.safetensors":
                assert admin.get(f"{path}/checkpoint/{name}?fidelity=onebit").content == file.read_bytes()
        for name, file in files_of(tmp_path / "adapter").items():
            exact = admin.get(f"{path}/checkpoint/{name}?fidelity=exact", 404 if options else 200)
            assert options or exact.content == file.read_bytes()
    done = signum("pull", "acme/chat", "-o", tmp_path / "pulled", "--as", "checkpoint", registry=registry)
    assert done.returncode == 0, done.stderr
    (weights,) = (tmp_path / "pulled").rglob("model.safetensors")
    assert weights.read_bytes() == rebuilt


def test_wrong_adapters_are_refused_at_the_door(admin, tmp_path):
    admin.push_base("base", FAMILY / "base")
    write_adapter(tmp_path / "adapter", BASE, use_dora=True)
    upload = admin.upload_folder(tmp_path / "adapter")
    body = {"upload": upload, "base": "base", "method": "none"}
    problem = admin.problem("POST", "/v1/tenants/acme/models/chat/versions", 422, "unsupported_adapter", json=body)
    assert "use_dora" in problem["detail"]
    admin.problem("POST", "/v1/bases/other", 422, "no_config", json={"upload": upload})


def test_version_options(registry, admin, tmp_path):
    admin.push_base("base", FAMILY / "base")
    planes = admin.publish("acme/chat", FAMILY / "kjv", planes=2)
    assert planes["planes"] == 2
    budget = admin.publish("acme/chat", FAMILY / "kjv", budget="5x")
    assert budget["ratio"] >= 5
    assert signum("push", "acme/chat", FAMILY / "kjv", "--base", "base", "--method", "none", "--planes", "2", "--wait",
                  registry=registry).returncode == 0
    upload = admin.upload_folder(FAMILY / "kjv")
    for options, code in (({"planes": 9}, "unsupported_planes"), ({"budget": "x"}, "unsupported_budget"),
                          ({"budget": 0}, "unsupported_budget"), ({"planes": 2, "budget": 9}, "unsupported_budget"),
                          ({"planes": "2"}, "bad_field")):
        admin.problem("POST", "/v1/tenants/acme/models/chat/versions", 422, code,
                      json={"upload": upload, "base": "base", **options})
