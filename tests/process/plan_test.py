"""signum diff --plan: the size of a delta by shape, on checkpoints of full size that hold no data."""

import json
import time

import pytest

from llama_shapes import write_checkpoint
from programs import FAMILY, FINE_TUNES, PATIENCE, signum


def plan(base, fine, *options):
    done = signum("diff", "--plan", base, fine, *options, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["llama-2-7b", "llama-3.1-8b"])
def folders(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_checkpoint(folder / "base", request.param, "base")
    write_checkpoint(folder / "fine", request.param, "fine")
    return folder / "base", folder / "fine"


def test_published_shapes_shrink_fifteen_times(folders):
    begin = time.monotonic()
    shown = plan(*folders)
    assert time.monotonic() - begin < PATIENCE / 4  # headers alone: a fraction of a second
    assert shown["ratio"] >= 15
    assert shown["ratio"] == pytest.approx(shown["upload"] / shown["size"])
    upload = sum(f.stat().st_size for f in folders[1].iterdir())
    assert shown["upload"] == upload
    classes = {each["class"]: each for each in shown["classes"]}
    assert list(classes) == ["linear", "embedding", "exact", "files", "header"]
    assert sum(each["delta"] for each in shown["classes"]) == shown["size"]
    assert 1 < 8 * classes["linear"]["delta"] / classes["linear"]["weights"] <= 1.02
    assert 1 < 8 * classes["embedding"]["delta"] / classes["embedding"]["weights"] <= 1.02
    assert classes["exact"]["delta"] == classes["exact"]["fine"]


def test_options_show_in_the_plan(folders):
    one = plan(*folders)
    two = plan(*folders, "--planes", "2")
    exact = plan(*folders, "--embeddings", "exact")
    assert 1.9 < two["size"] / one["size"] < 2.1
    assert exact["ratio"] < one["ratio"]
    table = signum("diff", "--plan", *folders)
    assert table.returncode == 0
    assert "linear" in table.stdout and f"{one['ratio']:.2f}x" in table.stdout


@pytest.mark.parametrize("fine", FINE_TUNES)
@pytest.mark.parametrize("options", [[], ["--scales", "row", "--planes", "3"], ["--embeddings", "exact"]])
def test_plan_is_the_size_that_is_written(fine, options, tmp_path):
    shown = plan(FAMILY / "base", FAMILY / fine, *options)
    delta = tmp_path / "a.delta"
    assert signum("diff", FAMILY / "base", FAMILY / fine, "-o", delta, "--method", "none", *options).returncode == 0
    classes = {each["class"]: each for each in shown["classes"]}
    # Rows of the embedding that did not change are not stored, which a header cannot know.
    assert delta.stat().st_size <= shown["size"]
    assert delta.stat().st_size > shown["size"] - classes["embedding"]["delta"]


def test_plan_and_output_are_needed_as_they_should(tmp_path):
    assert signum("diff", FAMILY / "base", FAMILY / "kjv").returncode == 2
    assert signum("diff", FAMILY / "base", FAMILY / "kjv", "--plan", "--planes", "9").returncode == 2
    missing = signum("diff", FAMILY / "base", tmp_path, "--plan")
    assert missing.returncode == 4 and "config.json" in missing.stderr
