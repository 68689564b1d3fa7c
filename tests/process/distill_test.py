"""Distillation and evaluation by the command line, offline and through the registry."""

import json
import re

import pytest

from api import Api
from programs import FAMILY, Registry, signum

TEXT = FAMILY.parent / "text"


@pytest.fixture(scope="module")
def delta(tmp_path_factory):
    """kjv's delta after a few steps, and what diff said of it."""
    file = tmp_path_factory.mktemp("distilled") / "kjv.delta"
    done = signum("diff", FAMILY / "base", FAMILY / "kjv", "-o", file, "--steps", "5", "--json")
    assert done.returncode == 0, done.stderr
    return file, json.loads(done.stdout)


def evaluate(delta, *options):
    done = signum("eval", FAMILY / "base", FAMILY / "kjv", delta, *options, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_eval_agrees_with_the_reference_on_base_and_fine_tune(delta):
    file, report = delta
    assert report["method"] == "distill" and report["fidelity"]["kl"] > 0
    found = evaluate(file, "--tokens", TEXT / "kjv.eval.tokens")
    # tests/data/README.md: computed with PyTorch on the same rows.
    assert found["perplexity"]["base"] == pytest.approx(338.4, rel=1e-3)
    assert found["perplexity"]["fine"] == pytest.approx(44.67, rel=1e-3)
    assert found["targets"] == 48 * 128
    # Five steps on signs chosen layer by layer: well below plain signs (0.41) already.
    assert found["logit_mse"] < 0.1 and found["kl"] < 0.04 and found["top1"] > 0.85


def test_products_may_be_fast(start, tmp_path):
    """bfloat16 where the processor has it, else float32 all the same: the delta is about as good."""
    registry = start(Registry, "--precision", "fast")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    made = admin.publish("kjv/model", FAMILY / "kjv", method="distill", distill={"steps": 5})
    assert made["made"]["precision"] == "fast" and made["fidelity"]["kl"] < 0.05
    file = tmp_path / "fast.delta"
    done = signum("diff", FAMILY / "base", FAMILY / "kjv", "-o", file, "--steps", "5", "--precision", "fast")
    assert done.returncode == 0, done.stderr
    assert evaluate(file, "--tokens", TEXT / "kjv.eval.tokens")["kl"] < 0.04
    assert signum("diff", FAMILY / "base", FAMILY / "kjv", "-o", file, "--precision", "half").returncode == 2


def test_text_is_read_with_the_fine_tunes_tokenizer(delta):
    found = evaluate(delta[0], "--text", TEXT / "kjv.eval.txt")
    assert found["targets"] > 1000 and found["kl"] < 0.05


@pytest.mark.parametrize("content, reason", [("1 2 x\n", "bad_tokens"), ("1 2\n3 4096\n", "token_out_of_range"),
                                             ("", "no_tokens")])
def test_wrong_tokens_are_named(delta, tmp_path, content, reason):
    file = tmp_path / "rows.tokens"
    file.write_text(content)
    done = signum("eval", FAMILY / "base", FAMILY / "kjv", delta[0], "--tokens", file)
    assert done.returncode == 4 and reason in done.stderr, done.stderr
    assert signum("eval", FAMILY / "base", FAMILY / "kjv", delta[0]).returncode == 2


def test_a_gate_refuses_and_says_why(family):
    push = ("push", "gated/model", FAMILY / "kjv", "--base", "base", "--wait", "--method", "layerwise")
    done = signum(*push, "--max-kl", "0.000001", registry=family.registry)
    assert done.returncode == 4 and "max_kl" in done.stderr, done.stderr
    assert family.admin.json("/v1/tenants/gated/models/model/versions/1")["state"] == "rejected"
    shown = " ".join(signum("show", "gated/model@1", registry=family.registry).stdout.split())
    assert "embeddings exact (asked: onebit)" in shown and "method layerwise" in shown, shown
    assert re.search(r"KL 0\.00\d+ top-1 agreement 0\.9\d+ perplexity of base 3\d\d\.", shown), shown
    done = signum(*push, "--min-top1", "0.5", registry=family.registry)
    assert done.returncode == 0, done.stderr
    assert family.admin.json("/v1/tenants/gated/models/model/versions/2")["fidelity"]["top1"] > 0.5
