"""Bare sockets, for requests that no client would send."""


def read_all(connection):
    """Everything until the other side closes; a reset counts as closing."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data
