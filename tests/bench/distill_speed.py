"""Distillation of the small family beside the same training in PyTorch (distill_torch.py), in one run.

usage: distill_speed.py DISTILL_BENCH OUTPUT.json [--steps N] [--runs N] [--python P]

Both train the same scales on the same token rows with as many threads as there are cores, by turns; the medians
of --runs count. P has torch (Debian's python3-torch with OpenBLAS). OUTPUT.json: rows as service_bench.py's.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

from service_bench import Results

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAMILY = ROOT / "tests/data/tiny-llama"
TOKENS = ROOT / "tests/data/text/kjv.eval.tokens"


def ours(program, embeddings, steps):
    """Steps a second of distill_bench; signs as they are, so that both train the same thing."""
    with tempfile.TemporaryDirectory() as folder:
        line = subprocess.run(
            [program, FAMILY / "base", FAMILY / "kjv", TOKENS, f"embeddings={embeddings}", f"steps={steps}",
             "layerwise=no", f"calib={TOKENS}", f"threads={os.cpu_count()}", f"out={folder}/delta"],
            check=True, capture_output=True, text=True).stdout
    return float(re.search(r"([\d.]+) steps/s", line)[1])


def torchs(python, embeddings, steps, teacher):
    line = subprocess.run(
        [python, ROOT / "tests/bench/distill_torch.py", FAMILY / "base", FAMILY / "kjv", TOKENS, "--steps", str(steps),
         "--embeddings", embeddings, "--teacher", teacher, "--threads", str(os.cpu_count())],
        check=True, capture_output=True, text=True).stdout
    return json.loads(line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program"), parser.add_argument("output")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--python", default="/usr/bin/python3")
    options = parser.parse_args()
    results = Results()
    for embeddings in ("onebit", "exact"):
        mine, peers = [], {"cached": [], "each-step": []}
        for _ in range(options.runs):
            mine.append(ours(options.program, embeddings, options.steps))
            for teacher, rates in peers.items():
                peer = torchs(options.python, embeddings, options.steps, teacher)
                rates.append(peer["steps_per_second"])
        for teacher, rates in peers.items():
            results.add(f"distillation, embeddings {embeddings}", statistics.median(mine), "steps/s",
                        f"PyTorch {peer['torch']}, teacher's logits {'kept' if teacher == 'cached' else 'anew each step'}",
                        statistics.median(rates), ">= 2 x", f"{options.steps} steps of 4 x 128 tokens")
        pathlib.Path(options.output).write_text(json.dumps(results.rows))


if __name__ == "__main__":
    main()
