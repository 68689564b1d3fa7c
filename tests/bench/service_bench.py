"""Benchmarks of the running registry, each beside its reference in the same run on the same machine.

usage: service_bench.py FOLDER OUTPUT.json [--gigabytes N] [--seconds N] [--watchers N]

FOLDER is scratch space on the disk to measure. Prints one line a figure and writes all to OUTPUT.json:
[{"what", "value", "unit", "reference", "reference_value", "ratio", "target", "note"}].
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "process")]
from api import Api, files_of  # noqa: E402
from programs import ROOT, Registry, run, wait_until  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid, field="RssAnon"):
    """Bytes of a process's memory of one kind."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return 0


class Results:
    def __init__(self):
        self.rows = []

    def add(self, what, value, unit, reference=None, reference_value=None, target=None, note="", ratio=None):
        if reference_value and ratio is None:
            ratio = value / reference_value
        row = {"what": what, "value": value, "unit": unit, "reference": reference,
               "reference_value": reference_value, "ratio": ratio, "target": target, "note": note}
        self.rows.append(row)
        beside = f" · {reference}: {reference_value:.4g} · ratio {ratio:.2f}" if reference_value else ""
        print(f"{what}: {value:.4g} {unit}{beside}{' · target ' + target if target else ''} {note}".rstrip(),
              flush=True)


# Ingest


def curl_put(registry, file, url):
    command = ["curl", "-sS", "--fail-with-body", "-o", "/dev/null", "-T", str(file),
               "-H", f"Authorization: Bearer {registry.token}", url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


def ingest(results, registry, folder):
    """Upload to durable, SHA-256 included; then the whole way to a stored base."""
    admin = Api(registry.url, registry.token)
    files = files_of(folder)
    size = sum(f.stat().st_size for f in files.values())
    for file in files.values():
        file.read_bytes()  # the publisher's page cache, not its disk, is the source
    declared = [{"path": path, "size": file.stat().st_size} for path, file in files.items()]
    before, begin = cpu_seconds(registry.pid), time.monotonic()
    upload = admin.post("/v1/uploads", {"files": declared}, 201).json()
    for file in upload["files"]:
        curl_put(registry, files[file["path"]], file["url"])
    staged, staged_cpu = time.monotonic() - begin, cpu_seconds(registry.pid) - before
    results.add("ingest: PUT until durable, one connection", size / staged / 1e9, "GB/s", target=">= 0.5 GB/s a core",
                note=f"({size / 1e9:.2f} GB; curl shares the {os.cpu_count()} cores)")
    results.add("ingest: PUT until durable, signumd's CPU", size / staged_cpu / 1e9, "GB/CPU-s",
                target=">= 0.5 GB/s a core", note=f"({staged_cpu / staged:.2f} cores busy)")
    begin, before = time.monotonic(), cpu_seconds(registry.pid)
    admin.post("/v1/bases/bench", {"upload": upload["id"]}, 201, timeout=600)
    took, stored_cpu = time.monotonic() - begin, cpu_seconds(registry.pid) - before
    results.add("ingest: POST base (parse, NaN scan, hash, store)", size / took / 1e9, "GB/s")
    results.add("ingest: the whole way to a stored base, CPU", size / (staged_cpu + stored_cpu) / 1e9, "GB/CPU-s",
                target=">= 0.5 GB/s a core")


def job_memory(results, registry, folder):
    """Peak anonymous memory while a version is made, and its rate."""
    admin = Api(registry.url, registry.token)
    upload = admin.post("/v1/uploads", {"files": [{"path": p, "size": f.stat().st_size}
                                                  for p, f in files_of(folder).items()]}, 201).json()
    for file in upload["files"]:
        curl_put(registry, folder / file["path"], file["url"])
    begin, peak = time.monotonic(), 0
    created = admin.create_version("bench/model", upload["id"], "bench")

    def finished():
        nonlocal peak
        peak = max(peak, memory(registry.pid))
        state = admin.json("/v1/tenants/bench/models/model/versions/1")["state"]
        assert state not in ("failed", "rejected"), admin.json(f"/v1/jobs/{created['job']}")
        return state == "ready"

    wait_until(finished, "the job", timeout=3600, interval=0.05)
    took = time.monotonic() - begin
    version = admin.json("/v1/tenants/bench/models/model/versions/1")
    size = version["sizes"]["upload"]
    results.add("version: POST until ready (ingest, compress, verify, seal)", size / took / 1e9, "GB/s",
                note=f"({size / 1e9:.2f} GB)")
    results.add("version: peak anonymous memory of signumd", peak / 1e6, "MB", target="< 1 GiB")
    results.add("version: upload / delta", version["ratio"], "x",
                note=f"(linear weights at {version['linear']['bits_per_weight']:.3f} bits)")


# Serving, beside nginx


NGINX = """
{user}
worker_processes {workers};
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{plain} reuseport;
    listen 127.0.0.1:{tls} ssl reuseport;
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
    root {folder}/www;
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """Debian's nginx on the same bytes, with sendfile and as many workers as signumd has I/O threads."""

    def __init__(self, folder, cert, key):
        self.www = folder / "www"
        self.www.mkdir(parents=True)
        self.plain, self.tls = free_port(), free_port()
        config = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""  # so that its workers may read the scratch folder
        config.write_text(NGINX.format(user=user, workers=os.cpu_count(), folder=folder, plain=self.plain, tls=self.tls,
                                       cert=cert, key=key))
        command = ["nginx", "-c", str(config), "-g", "daemon off;"]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self.answers, "nginx")

    def answers(self):
        assert self.process.poll() is None, "nginx did not start: see error.log"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.plain)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait()


def make_certificate(folder):
    folder.mkdir(parents=True, exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
               "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost")
    assert made.returncode == 0, made.stderr
    return cert, key


def wrk(url, seconds, connections, token=None):
    """(requests a second, bytes a second) that wrk gets from a URL."""
    command = ["wrk", f"-t{os.cpu_count()}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", url]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in shown, shown
    units = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}
    amount, unit = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?B)", shown).groups()
    return float(re.search(r"Requests/sec:\s+([\d.]+)", shown)[1]), float(amount) * units[unit]


def in_turns(ours, theirs, rounds=3):
    """The best of each of two measurements taken in turns, so that both see the same machine."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return max(a for a, _ in pairs), max(b for _, b in pairs)


def serving(results, plain, secure, nginx, path, seconds):
    """Delta download and small answers against nginx with the same bytes."""
    for registry, port, target in ((plain, nginx.plain, ">= 0.8 x"), (secure, nginx.tls, ">= 1.0 x")):
        scheme = "https" if registry.tls else "http"
        ours, theirs = in_turns(
            lambda: wrk(registry.url + path, seconds, 8, registry.token)[1] / 1e9,
            lambda: wrk(f"{scheme}://127.0.0.1:{port}/delta", seconds, 8)[1] / 1e9)
        results.add(f"delta download over {scheme}", ours, "GB/s", "nginx", theirs, target,
                    f"(wrk, 8 connections, {(nginx.www / 'delta').stat().st_size / 1e6:.0f} MB)")
    live = "/v1/tenants/bench/live"
    ours, theirs = in_turns(lambda: wrk(plain.url + live, seconds, 64, plain.token)[0],
                            lambda: wrk(f"http://127.0.0.1:{nginx.plain}/live", seconds, 64)[0])
    results.add("small JSON answers (GET live, authenticated)", ours, "/s", "nginx, the same bytes as a file", theirs,
                note="(wrk, 64 connections)")
    health, _ = wrk(plain.url + "/healthz", seconds, 64)
    results.add("small answers (GET /healthz)", health, "/s", note="(wrk, 64 connections)")


# Watchers


def watchers(results, registry, count):
    """Memory of signumd with `count` idle long polls."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 1000), hard))
    head = (f"GET /v1/watch?tenant=bench&wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {registry.token}\r\n\r\n").encode()
    before = memory(registry.pid)
    connections = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", registry.port), timeout=30)
        connection.sendall(head)
        connections.append(connection)
    time.sleep(3)
    during = memory(registry.pid)
    begin = time.monotonic()
    admin = Api(registry.url, registry.token)
    admin.get("/healthz")
    beside = time.monotonic() - begin
    admin.delete("/v1/tenants/bench/models/model/aliases/live")
    woken = sum(connection.recv(20).startswith(b"HTTP/1.1 200") for connection in connections)
    took = time.monotonic() - begin - beside
    for connection in connections:
        connection.close()
    assert woken == count, f"{woken} of {count} watchers were woken"
    results.add(f"{count} idle watchers: memory of signumd", during / 1e6, "MB", target="<= 200 MB",
                note=f"({before / 1e6:.0f} MB before; another request took {beside * 1e3:.1f} ms meanwhile)")
    results.add(f"{count} watchers woken by one change", took, "s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--watchers", type=int, default=10_000)
    options = parser.parse_args()
    options.folder = options.folder.resolve()  # nginx takes relative paths for relative to its own prefix
    make = [sys.executable, ROOT / "tests/bench/make_checkpoint.py", options.folder / "models", str(options.gigabytes)]
    subprocess.run([str(part) for part in make], check=True)
    cert, key = make_certificate(options.folder / "tls")
    results = Results()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, options.watchers + 1000), hard))
    plain = Registry(options.folder / "plain")
    nginx = secure = None
    try:
        ingest(results, plain, options.folder / "models/base")
        job_memory(results, plain, options.folder / "models/fine")
        shutil.rmtree(options.folder / "models")
        plain.stop()  # a second signumd with TLS on a copy of the data
        shutil.copytree(options.folder / "plain/data", options.folder / "secure/data")
        plain = Registry(options.folder / "plain")
        secure = Registry(options.folder / "secure", "--tls-cert", cert, "--tls-key", key)
        admin = Api(plain.url, plain.token)
        nginx = Nginx(options.folder / "nginx", cert, key)
        delta = admin.json("/v1/tenants/bench/models/model/versions/1")["digest"]
        (nginx.www / "delta").write_bytes(admin.get(f"/v1/blobs/{delta}").content)
        (nginx.www / "live").write_bytes(admin.get("/v1/tenants/bench/live").content)
        serving(results, plain, secure, nginx, f"/v1/blobs/{delta}", options.seconds)
        watchers(results, plain, options.watchers)
    finally:
        for program in (plain, secure, nginx):
            if program:
                program.stop()
    options.output.write_text(json.dumps(results.rows, indent=1))


if __name__ == "__main__":
    main()
