#!/usr/bin/env python3
"""Opens idle long polls and tells what they cost the server's memory.

usage: http_watchers.py PORT PID [COUNT] [PATH]    (PID: the server's, for /proc/PID/status)

Prints one JSON line: watchers, RSS before and with them in MB, bytes each.
"""
import json
import resource
import socket
import sys
import time


def rss_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def main():
    port, pid = int(sys.argv[1]), int(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000
    path = sys.argv[4] if len(sys.argv) > 4 else "/watch"
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    request = (f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: watchers/1\r\n"
               "Accept: application/json\r\nAuthorization: Bearer none\r\n\r\n").encode()
    before = rss_mb(pid)
    watchers = []
    for _ in range(count):
        watchers.append(socket.create_connection(("127.0.0.1", port)))
        watchers[-1].sendall(request)
    time.sleep(2)
    after = rss_mb(pid)
    answered = 0
    for watcher in watchers:
        watcher.setblocking(False)
        try:
            answered += len(watcher.recv(1, socket.MSG_PEEK)) >= 0
        except BlockingIOError:
            pass
    print(json.dumps({
        "watchers": count - answered, "answered": answered, "rss_before_mb": round(before, 1),
        "rss_mb": round(after, 1), "bytes_each": round((after - before) * 2**20 / count)}))
    return 0 if answered == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
