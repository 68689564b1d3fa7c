"""Starts the real programs in folders of their own, on ports of their own."""

import os
import pathlib
import signal
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SIGNUM_BIN", ROOT / "build/dev/bin"))
DATA = ROOT / "tests/data"
FAMILY = DATA / "tiny-llama"
FINE_TUNES = ("kjv", "pysrc", "sqlite")
# A loaded machine or a sanitizer may be slow; nothing here waits that long when it works.
PATIENCE = float(os.environ.get("SIGNUM_PATIENCE", "60"))


def wait_until(condition, what, timeout=PATIENCE, interval=0.02):
    """The first true value of `condition`, polled; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(interval)


class Program:
    """A running program; its output goes to `folder/name.log`."""

    def __init__(self, command, folder, name, env=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / f"{name}.log"
        with open(self.log_path, "ab") as log:
            command = [str(part) for part in command]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                            env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def running(self):
        return self.process.poll() is None

    def wait_for_file(self, path):
        """The text of a file that the program writes once it is ready."""

        def ready():
            if not self.running():
                raise AssertionError(f"exit {self.process.returncode} at start: {self.log()[-2000:]}")
            return path.exists() and path.read_text().strip()

        return wait_until(ready, path)

    def stop(self, sig=signal.SIGTERM, timeout=PATIENCE):
        """Sends `sig` and returns the exit code."""
        if self.running():
            self.process.send_signal(sig)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {timeout} s after signal {sig}: {self.log()[-2000:]}")

    def kill(self):
        return self.stop(signal.SIGKILL)


class Registry(Program):
    """A signumd over `folder/data`; restarting one on the same folder finds the same data."""

    def __init__(self, folder, *options, data=None, listen="127.0.0.1:0", prefix=()):
        self.folder = folder
        self.data = data or folder / "data"
        port_file = folder / "signumd.port"
        port_file.unlink(missing_ok=True)
        self.command = [*prefix, BIN / "signumd", "--data", self.data, "--listen", listen]
        self.command += ["--port-file", port_file, *options]
        super().__init__(self.command, folder, "signumd")
        self.port = int(self.wait_for_file(port_file))
        self.tls = "--tls-cert" in options
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        self.token = (self.data / "admin.token").read_text().strip()


class Node(Program):
    """A signum-node with its cache in `folder/cache`."""

    def __init__(self, folder, registry_url, token, tenants, *options, name="node", env=None):
        port_file = folder / f"{name}.port"
        port_file.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        command = [BIN / "signum-node", "--registry", registry_url, "--token", token]
        for tenant in tenants:
            command += ["--tenant", tenant]
        self.cache = folder / "cache"
        command += ["--cache", self.cache, "--listen", "127.0.0.1:0", "--port-file", port_file]
        super().__init__([*command, *options], folder, name, env)
        self.port = int(self.wait_for_file(port_file))
        self.url = f"http://127.0.0.1:{self.port}"


def run(*command, env=None, timeout=PATIENCE * 2, **options):
    """Runs a command to its end; never raises for its exit code."""
    command = [str(part) for part in command]
    return subprocess.run(command, env={**os.environ, **(env or {})}, timeout=timeout,
                          capture_output=True, text=True, **options)


def signum(*arguments, registry=None, token=None, **options):
    """Runs the command line against `registry`."""
    env = {"SIGNUM_REGISTRY": registry.url if registry else "", "SIGNUM_TOKEN": token or ""}
    if registry and token is None:
        env["SIGNUM_TOKEN"] = registry.token
    return run(BIN / "signum", *arguments, env=env, **options)
