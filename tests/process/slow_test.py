"""slowhttptest (Debian) against a registry: slow headers, slow bodies, slow readers, many ranges. Others are served
meanwhile, by its own probe and by ours, and nothing is left after. Skipped where it is not installed; what the kernel
queues for readers is looked at without it.

SIGNUM_SLOW_CONNECTIONS, SIGNUM_SLOW_SECONDS: how many (200), for how long (6); deploy/attack: 2000, 60.
SIGNUM_LATENCY: seconds that an answer may take meanwhile (1).
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest
import requests

from api import Api
from connections_test import LATENCY, open_files
from figures import record
from programs import FAMILY, PATIENCE, Registry, wait_until

TOOL = shutil.which("slowhttptest")
CONNECTIONS = int(os.environ.get("SIGNUM_SLOW_CONNECTIONS", "200"))
SECONDS = int(os.environ.get("SIGNUM_SLOW_SECONDS", "6"))
# The shorter the test, the sooner is too slow; below a minute the settings differ from the defaults.
PATIENT = () if SECONDS >= 60 else ("--header-timeout", "2s", "--body-timeout", "2s")

MOST_QUEUED = 512 << 10  # of TCP_NOTSENT_LOWAT's 128 KiB, a write and what is on its way; without it 2.8 MB

pytestmark = pytest.mark.timeout(SECONDS * 4 + 600)


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    """Without tokens: the tool sends no header of ours."""
    registry = Registry(tmp_path_factory.mktemp("slow"), "--no-auth", "--log", "off", *PATIENT)
    Api(registry.url, registry.token).push_base("base", FAMILY / "base")
    yield registry
    registry.kill()


# mode: (its options, path)
BASE_FILE = "/v1/bases/base/files/model.safetensors"
ATTACKS = {
    "headers": (["-H", "-i", "1", "-x", "20"], "/healthz"),
    "bodies": (["-B", "-i", "1", "-s", "100000", "-x", "10", "-t", "POST"], "/v1/uploads"),
    "readers": (["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "5", "-k", "2"], BASE_FILE),
    "ranges": (["-R", "-a", "10", "-b", "3000", "-t", "GET"], BASE_FILE),
}


def command(mode, registry):
    options, path = ATTACKS[mode]
    return [TOOL, *options, "-c", str(CONNECTIONS), "-r", str(max(50, CONNECTIONS // 4)), "-l", str(SECONDS), "-p", "3",
            "-f", "application/json", "-u", registry.url + path]


def served_meanwhile(registry, process):
    """Requests that were served while `process` ran, the seconds of the slowest, and how many files the registry had open
    at most and at last."""
    head = {"Range": "bytes=0-99999"}
    count, most, files = 0, 0, [0]
    while process.poll() is None:
        for path in ("/healthz", BASE_FILE):
            begin = time.monotonic()
            requests.get(registry.url + path, headers=head, timeout=PATIENCE).raise_for_status()
            most = max(most, time.monotonic() - begin)
            count += 1
        files.append(open_files(registry))
        time.sleep(0.05)
    return count, most, max(files), files[-1]


def queued(port):
    """The bytes that the kernel holds unsent or unacknowledged for each connection to a local port."""
    lines = (line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:])
    established = (fields for fields in lines if fields[3] == "01")
    return [int(fields[4].split(":")[0], 16) for fields in established if int(fields[1].split(":")[1], 16) == port]


@pytest.mark.parametrize("receive_buffer", [4096, None])
def test_the_kernel_queues_little_for_who_does_not_read(target, receive_buffer):
    """Thousands of such readers must not take the kernel's memory for TCP from everybody else."""
    readers = [socket.socket() for _ in range(10)]
    try:
        for reader in readers:
            if receive_buffer:
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            reader.connect(("127.0.0.1", target.port))
            reader.sendall(f"GET {BASE_FILE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        wait_until(lambda: sum(size > 0 for size in queued(target.port)) >= len(readers), "answers on their way")
        time.sleep(0.5)  # whatever would still be queued
        sizes = queued(target.port)
    finally:
        for reader in readers:
            reader.close()
    record("queued for readers that do not read", connections=len(readers), most_bytes=max(sizes))
    assert max(sizes) <= MOST_QUEUED, sizes


@pytest.mark.skipif(TOOL is None, reason="slowhttptest is not installed")
@pytest.mark.parametrize("mode", ATTACKS)
def test_slow(target, mode):
    files = open_files(target)
    process = subprocess.Popen(command(mode, target), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        count, most, peak, last_files = served_meanwhile(target, process)
        said = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout.read())
    finally:
        process.kill()
    last = said[said.rfind("slow HTTP test status"):]
    figures = {key: value for key, value in re.findall(r"(\w[\w ]*?): +(\w+)", last)}
    record(f"slow {mode}", connections=CONNECTIONS, seconds=SECONDS, available=figures.get("service available"),
           held_at_most=peak - files, held_at_last=last_files - files, served=count, slowest_s=round(most, 3))
    assert "service available:   YES" in last, said[-2000:]
    assert most <= LATENCY and count > 10, (most, count)
    wait_until(lambda: open_files(target) <= files + 2, "closed connections")
