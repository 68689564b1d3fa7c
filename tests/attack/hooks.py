"""Loaded by schemathesis (tests/process/openapi_test.py): how to send what it does not know, and no long waits."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def offset_octets(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(ctx, case, **kwargs):
    """A watch waits for half a minute: a second will do. Who reaches all tenants has to say which."""
    if case.operation.path != "/v1/watch":
        return
    wait = case.query.get("wait", 30)
    if str(wait).isdigit() and 1 < int(wait) <= 60:
        case.query["wait"] = 1
    if not case.query.get("tenant"):
        case.query["tenant"] = ["kjv"]
