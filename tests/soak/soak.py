"""Uploads, jobs, pulls, deletions, garbage collection and scrubs at once, for as long as asked.

usage: deploy/soak [--minutes 60]

Every byte that comes back is checked against what was uploaded, every answer against what it may be. At the end no request
failed, and memory, descriptors and the disk are where they were when the first tenth had passed.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import random
import struct
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "process"))

from api import Api  # noqa: E402
from programs import FAMILY, Registry  # noqa: E402

TENANTS = ("acme", "globex", "initech")
KEEP = 4  # versions of a model


def nudged(folder, seed):
    """The files of a fine-tune whose weights differ a little from every other seed's."""
    rng = random.Random(seed)
    files = {}
    for path in sorted(folder.iterdir()):
        data = bytearray(path.read_bytes())
        if path.suffix == ".safetensors":
            (header,) = struct.unpack("<Q", data[:8])
            for _ in range(2000):
                at = 8 + header + 2 * rng.randrange((len(data) - 8 - header) // 2)
                data[at] ^= 1  # the lowest bit of a bfloat16
        files[path.name] = bytes(data)
    return files


class Soak:
    def __init__(self, registry, seconds):
        self.registry = registry
        self.end = time.monotonic() + seconds
        self.counts = collections.Counter()
        self.errors = []
        self.lock = threading.Lock()
        self.versions = {tenant: {} for tenant in TENANTS}  # version: {path: sha256}

    def api(self):
        return Api(self.registry.url, self.registry.token)

    def loop(self, name, body, pause):
        api = self.api()
        while time.monotonic() < self.end and not self.errors:
            try:
                body(api)
                self.counts[name] += 1
            except Exception:
                self.errors.append(f"{name}: {traceback.format_exc()}")
            time.sleep(pause)

    def publish(self, api, tenant, seed):
        files = nudged(FAMILY / random.choice(("kjv", "pysrc", "sqlite")), seed)
        created = api.create_version(f"{tenant}/model", api.upload(files), "base")
        api.wait_version(f"{tenant}/model", created["version"], timeout=300)
        with self.lock:
            self.versions[tenant][created["version"]] = {p: hashlib.sha256(d).hexdigest() for p, d in files.items()}
        api.promote(f"{tenant}/model", created["version"])
        self.retire(api, tenant)

    def retire(self, api, tenant):
        with self.lock:
            old = sorted(self.versions[tenant])[:-KEEP]
            for version in old:
                del self.versions[tenant][version]
        for version in old:
            api.delete(f"/v1/tenants/{tenant}/models/model/versions/{version}", 204)

    def pull(self, api):
        tenant = random.choice(TENANTS)
        with self.lock:
            known = list(self.versions[tenant].items())[-2:]  # not those that are about to go
        if not known:
            return
        version, files = random.choice(known)
        path = random.choice(list(files))
        url = f"/v1/tenants/{tenant}/models/model/versions/{version}"
        exact = api.get(f"{url}/checkpoint/{path}?fidelity=exact").content
        assert hashlib.sha256(exact).hexdigest() == files[path], f"{tenant}@{version} {path} is not what was uploaded"
        resource = api.json(url)
        delta = api.get(url + "/delta").content
        assert "sha256:" + hashlib.sha256(delta).hexdigest() == resource["digest"], f"delta of {tenant}@{version}"

    def admin(self, call, body):
        def run(api):
            job = api.post(f"/v1/admin/{call}", body, 202).json()["job"]
            done = api.wait_job(job, timeout=600)
            assert done["state"] == "done", done
            if call == "scrub":
                assert done["result"]["clean"], done
        return run

    def measure(self):
        pid = self.registry.pid
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        rss = int(status.split("RssAnon:")[1].split()[0]) // 1024
        files = sum(1 for _ in pathlib.Path(f"/proc/{pid}/fd").iterdir())
        disk = sum(f.stat().st_blocks * 512 for f in self.registry.data.rglob("*") if f.is_file()) >> 20
        return {"rss_mib": rss, "descriptors": files, "disk_mib": disk}

    def run(self):
        api = self.api()
        api.push_base("base", FAMILY / "base")
        loops = [threading.Thread(target=self.loop, args=("publish", lambda a, t=t: self.publish(a, t, time.time_ns()), 0.5))
                 for t in TENANTS]
        loops += [threading.Thread(target=self.loop, args=("pull", self.pull, 0.05)) for _ in range(3)]
        loops.append(threading.Thread(target=self.loop, args=("gc", self.admin("gc", {}), 5)))
        loops.append(threading.Thread(target=self.loop, args=("scrub", self.admin("scrub", {}), 20)))
        start = time.monotonic()
        for thread in loops:
            thread.start()
        samples = []
        while any(thread.is_alive() for thread in loops):
            time.sleep(min(15, max(1, (self.end - start) / 40)))
            samples.append({"at": round(time.monotonic() - start), **self.measure(), **self.counts})
            print(json.dumps(samples[-1]), flush=True)
        return samples


def growth(samples):
    """What grew from the second tenth to the last, by more than a quarter and a little."""
    tenth = max(1, len(samples) // 10)
    early, late = samples[tenth:2 * tenth] or samples[:1], samples[-tenth:]
    slack = {"rss_mib": 64, "descriptors": 32, "disk_mib": 512}
    most = {key: (max(s[key] for s in early), max(s[key] for s in late)) for key in slack}
    return {key: pair for key, pair in most.items() if pair[1] > 1.25 * pair[0] + slack[key]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory(prefix="signum-soak-") as folder:
        registry = Registry(pathlib.Path(folder), "--gc-grace", "5s", "--log", "off")
        soak = Soak(registry, minutes * 60)
        samples = soak.run()
        grown = growth(samples)
        for error in soak.errors:
            print(error, file=sys.stderr)
        code = registry.stop()
        print(f"{minutes} min: {dict(soak.counts)}; errors {len(soak.errors)}; grew {grown or 'nothing'}; exit {code}")
        return 1 if soak.errors or grown or code != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
