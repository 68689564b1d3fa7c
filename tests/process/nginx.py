"""Debian's nginx with deploy/nginx-cache.conf in front of a registry."""

import os
import pathlib
import shutil
import socket

from programs import ROOT, Program, wait_until

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")

MAIN = """
{user}
daemon off;
worker_processes 2;
worker_rlimit_nofile 8192;
pid {folder}/nginx.pid;
events {{ worker_connections 3500; }}
http {{
  access_log {folder}/access.log;
  error_log {folder}/error.log;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  include {folder}/nginx-cache.conf;
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cache(Program):
    """The shipped configuration with the three things set that it says are to be set, and pieces of `SLICE` bytes, so
    that a small delta is several."""

    SLICE = 128 * 1024

    def __init__(self, folder, registry):
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.kept = free_port(), folder / "kept"
        self.url = f"http://127.0.0.1:{self.port}"
        text = (ROOT / "deploy/nginx-cache.conf").read_text()
        for line, setting in (("server 127.0.0.1:8080;", f"server 127.0.0.1:{registry.port};"),
                              ("listen 8090;", f"listen 127.0.0.1:{self.port};"),
                              ("slice 1m;", f"slice {self.SLICE};"),
                              ("/var/cache/nginx/signum ", f"{self.kept} ")):
            assert text.count(line) == 1, line
            text = text.replace(line, setting)
        (folder / "nginx-cache.conf").write_text(text)
        user = "user root;" if os.geteuid() == 0 else ""  # so that its workers may read the test's folder
        (folder / "nginx.conf").write_text(MAIN.format(user=user, folder=folder))
        super().__init__([NGINX, "-c", folder / "nginx.conf", "-e", folder / "error.log"], folder, "nginx")
        wait_until(self.answers, "nginx")

    def answers(self):
        assert self.running(), self.log() + (self.log_path.parent / "error.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def errors(self):
        return pathlib.Path(self.log_path.parent / "error.log").read_text()
