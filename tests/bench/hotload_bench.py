"""How fast a node makes a delta ready, every chunk verified, beside a plain copy in memory.

usage: hotload_bench.py FOLDER [--gigabytes N] [--runs N]     prints one line a figure; programs from $SIGNUM_BIN

A checkpoint of N GB is published twice: whole (codec raw, a delta as large as itself) and at one bit. A node that holds
both is started with an empty cache (from the registry, over loopback), with its cache in the page cache, and with its
cache dropped from there (from the disk). Bytes over seconds as the node's log has them: from the start of the load to
the publication. The copy is numpy's, one thread, of as many bytes into memory that is there already. Beside it what a
whole start costs the node in CPU time, which other programs on the machine change less.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "process")]

import numpy as np  # noqa: E402

from api import Api  # noqa: E402
from programs import ROOT, Node, Registry, wait_until  # noqa: E402
from service_bench import Results, cpu_seconds  # noqa: E402

MODELS = {"bench/whole": {"codec": "raw", "embeddings": "exact"}, "bench/onebit": {}}


def copy_rate(size):
    """Bytes a second of a copy of `size` bytes, the best of three."""
    source, target = np.ones(size, np.uint8), np.ones(size, np.uint8)
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begin)
    return size / best


def drop_from_page_cache(folder):
    for file in folder.rglob("*"):
        if not file.is_file():
            continue
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load_rates(folder, registry, token, source):
    """One start of the node: {model: (bytes, bytes a second)}, all from `source`; for "CPU", of all, CPU seconds."""
    log = folder / "node.log"
    log.unlink(missing_ok=True)
    node = Node(folder, registry.url, token, ["bench"], "--no-serve")
    pattern = re.compile(r"(bench/\S+)@1: published, (\d+) bytes from the (\w+) in ([\d.]+) s")

    def loaded():
        found = pattern.findall(node.log())
        return found if len(found) == len(MODELS) else None

    found = wait_until(loaded, "the models", timeout=600, interval=0.05)
    cpu = cpu_seconds(node.pid)
    assert node.stop() == 0
    assert {where for _, _, where, _ in found} == {source}, found
    rates = {model: (int(size), int(size) / float(seconds)) for model, size, _, seconds in found}
    total = sum(size for size, _ in rates.values())
    return rates | {"CPU": (total, total / cpu)}


def measure(folder, registry, token, runs):
    """The best rate of each model from each place."""
    best = {}
    for _ in range(runs):
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for place, source in (("registry", "registry"), ("page cache", "cache"), ("disk", "cache")):
            if place == "disk":
                drop_from_page_cache(folder / "cache")
            for model, (size, rate) in load_rates(folder, registry, token, source).items():
                best[model, place] = (size, max(rate, best.get((model, place), (0, 0))[1]))
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    models = options.folder / "models"
    subprocess.run([sys.executable, str(ROOT / "tests/bench/make_checkpoint.py"), str(models), str(options.gigabytes)],
                   check=True)
    registry = Registry(options.folder / "registry")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", models / "base")
    for model, how in MODELS.items():
        upload = admin.upload_folder(models / "fine")
        created = admin.create_version(model, upload, "base", **how)
        admin.wait_version(model, created["version"], timeout=3600)
    shutil.rmtree(models)
    results = Results()
    best = measure(options.folder / "node", registry, admin.create_token("node", "bench"), options.runs)
    for (model, place), (size, rate) in sorted(best.items()):
        if model == "CPU":
            results.add(f"verified load, {size / 1e6:.0f} MB from the {place}, the node's CPU", rate / 1e9, "GB/CPU-s")
            continue
        results.add(f"verified load, {size / 1e6:.0f} MB from the {place}", rate / 1e9, "GB/s", "copy in memory",
                    copy_rate(size) / 1e9, note=f"({model})")
    registry.stop()


if __name__ == "__main__":
    main()
