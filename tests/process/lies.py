"""Answers that never end, lie about their length, or swell: each is a function that talks to a connection."""

import gzip

PIECE = b"x" * 65536
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB = gzip.compress(bytes(50 << 20))


def endless(begin, piece):
    def send(connection):
        connection.sendall(begin)
        while True:
            connection.sendall(piece)
    return send


def whole(answer):
    return lambda connection: connection.sendall(answer)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


ANSWERS = {
    "headers without end": endless(JSON, b"X-More: " + b"y" * 1000 + b"\r\n"),
    "a header without end": endless(JSON + b"X-Long: ", PIECE),
    "interim answers without end": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "a body without end": endless(JSON + b"\r\n", PIECE),
    "chunks without end": endless(JSON + b"Transfer-Encoding: chunked\r\n\r\n", chunk(PIECE)),
    "a length that lies": endless(JSON + b"Content-Length: 1000000000000\r\n\r\n", PIECE),
    "a gzip bomb": whole(JSON + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
    "brackets without end": whole(JSON + b"Content-Length: 30000000\r\n\r\n" + b"[" * 30_000_000),
}
