"""What a swap costs those who are being answered, and what more models than slots cost.

usage: serve_bench.py FOLDER [--seconds N]    prints one table; programs from $SIGNUM_BIN

Gaps between the tokens of streams (p50, p99, largest), with and without a swap every second; then the time to the
first token with 8 models on 8 slots and 16 on 8, each model asked in turn.
"""

import argparse
import concurrent.futures
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "process"))

import requests  # noqa: E402

from api import Api  # noqa: E402
from openai import OpenAi  # noqa: E402
from programs import FAMILY, PATIENCE, Node, Registry, wait_until  # noqa: E402

PROMPT = "In the beginning"
STREAMS = 4


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def gaps_for(url, seconds):
    """Gaps between events of STREAMS streams, and how many requests ended well."""
    gaps, done, stop = [], [], threading.Event()

    def ask():
        api = OpenAi(url)
        while not stop.is_set():
            last = None
            for _ in api.stream("kjv/model", PROMPT, max_tokens=200):
                now = time.perf_counter()
                if last is not None:
                    gaps.append(now - last)
                last = now
            done.append(1)

    with concurrent.futures.ThreadPoolExecutor(STREAMS) as pool:
        workers = [pool.submit(ask) for _ in range(STREAMS)]
        time.sleep(seconds)
        stop.set()
        for worker in workers:
            worker.result()
    return gaps, len(done)


def swapping(admin, seconds):
    """Promotes every second until `seconds` are over, in a thread."""

    def run():
        for swap in range(int(seconds)):
            time.sleep(1)
            admin.promote("kjv/model", 2 - swap % 2)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def show_gaps(what, gaps, requests_done):
    p50, p99 = quantile(gaps, 0.5) * 1e3, quantile(gaps, 0.99) * 1e3
    print(f"{what:<28} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   max {max(gaps) * 1e3:7.2f} ms   "
          f"{len(gaps)} tokens, {requests_done} requests", flush=True)


def first_tokens(url, models, rounds):
    """Seconds to the first event of a stream, each model in turn."""
    api, times = OpenAi(url), []
    for i in range(rounds * len(models)):
        begin = time.perf_counter()
        events = api.stream(models[i % len(models)], PROMPT, max_tokens=2)
        next(events)
        times.append(time.perf_counter() - begin)
        list(events)
    return times


def start_node(folder, registry, name, tenants, *options):
    admin = Api(registry.url, registry.token)
    node = Node(folder / name, registry.url, admin.create_token("node", *tenants), tenants, *options)
    wait_until(lambda: requests.get(node.url + "/readyz", timeout=PATIENCE).status_code == 200, "a ready node")
    return node


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    registry = Registry(options.folder / "registry")
    admin = Api(registry.url, registry.token)
    admin.push_base("base", FAMILY / "base")
    admin.publish("kjv/model", FAMILY / "kjv")
    admin.publish("kjv/model", FAMILY / "sqlite")
    for tenants in (8, 16):
        for i in range(tenants):
            admin.publish(f"t{tenants}/m{i}", FAMILY / ("kjv", "pysrc", "sqlite")[i % 3])
    node = start_node(options.folder, registry, "gaps", ["kjv"])
    show_gaps("no swaps", *gaps_for(node.url, options.seconds))
    swaps = swapping(admin, options.seconds)
    show_gaps("a swap every second", *gaps_for(node.url, options.seconds))
    swaps.join()
    node.stop()
    for tenants in (8, 16):
        node = start_node(options.folder, registry, f"slots{tenants}", [f"t{tenants}"], "--slots", "8", "--memory", "64MiB")
        models = [f"t{tenants}/m{i}" for i in range(tenants)]
        first_tokens(node.url, models, 1)
        times = first_tokens(node.url, models, 5)
        print(f"{tenants:>2} models on 8 slots: first token p50 {quantile(times, 0.5) * 1e3:.2f} ms   "
              f"p99 {quantile(times, 0.99) * 1e3:.2f} ms", flush=True)
        node.stop()
    registry.stop()


if __name__ == "__main__":
    main()
