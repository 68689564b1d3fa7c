"""An HTTP proxy between a node and its registry that counts, damages and cuts what passes."""

import http.client
import http.server
import re
import threading
import time
import urllib.parse

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "proxy-connection"}


class Proxy:
    """Forwards to `upstream`; requests it saw are in `seen` as (method, path, body bytes passed back).

    flip(path): byte offset to damage in this path's answer, or None.
    cut(path): bytes of the body after which the connection is closed, or None.
    wait(path): seconds before each 64 KiB of the body.
    `broken`: answers that are on their way end.
    """

    def __init__(self, upstream):
        self.upstream = urllib.parse.urlsplit(upstream)
        self.seen, self.manifests = [], set()
        self.flip = lambda path: None
        self.cut = lambda path: None
        self.wait = lambda path: 0
        self.broken = False
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def forward(self):
                proxy.forward(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = forward

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def downloads(self):
        """What was fetched of delta bytes."""
        return [entry for entry in self.seen if entry[0] == "GET" and self.is_delta(entry[1])]

    def is_delta(self, path):
        """Whether a path is a delta's. By digest a manifest's looks the same, so those that were named are known."""
        path = path.split("?")[0]
        return path.endswith("/delta") or ("/blobs/" in path and path.rsplit("/")[-1] not in self.manifests)

    def forward(self, handler):
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=90)
        entry = [handler.command, handler.path, 0]
        self.seen.append(entry)
        try:
            headers = {k: v for k, v in handler.headers.items() if k.lower() not in HOP_BY_HOP}
            upstream.request(handler.command, handler.path, body or None, headers)
            self.answer(handler, upstream.getresponse(), entry)
        except OSError:
            handler.close_connection = True
        finally:
            upstream.close()

    def answer(self, handler, response, entry):
        handler.send_response(response.status, response.reason)
        length = None
        for name, value in response.getheaders():
            if name.lower() == "content-length":
                length = value
            if name.lower() not in HOP_BY_HOP:
                handler.send_header(name, value)
        if length is None:
            handler.send_header("Connection", "close")
            handler.close_connection = True
        handler.end_headers()
        flip, cut = self.flip(handler.path), self.cut(handler.path)
        while piece := response.read1(65536):
            time.sleep(self.wait(handler.path))
            cut = 0 if self.broken else cut
            named = re.findall(rb'"manifest_url":"[^"]*/blobs/([^"]+)"', piece)
            self.manifests.update(digest.decode() for digest in named)
            begin = entry[2]
            if flip is not None and begin <= flip < begin + len(piece):
                at = flip - begin
                piece = piece[:at] + bytes([piece[at] ^ 0x40]) + piece[at + 1:]
            entry[2] += len(piece)
            if cut is not None and entry[2] > cut:
                handler.wfile.write(piece[:max(0, cut - begin)])
                handler.wfile.flush()
                handler.close_connection = True
                handler.connection.close()
                return
            handler.wfile.write(piece)
            handler.wfile.flush()
