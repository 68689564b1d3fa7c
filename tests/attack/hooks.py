"""Loaded by schemathesis (tests/process/openapi_test.py): how to send what it does not know, and no long waits."""

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def offset_octets(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(ctx, case, **kwargs):
    """Nothing slow by request: a watch waits half a minute, a scrub as long as its rate says, and whoever follows it too."""
    if case.operation.path == "/v1/watch":
        wait = case.query.get("wait", 30)
        if str(wait).isdigit() and 1 < int(wait) <= 60:
            case.query["wait"] = 1
        if not case.query.get("tenant"):  # who reaches all tenants has to say which
            case.query["tenant"] = ["kjv"]
    if case.operation.path == "/v1/admin/scrub" and isinstance(case.body, dict):
        rate = case.body.get("rate")
        if type(rate) is int and 0 < rate < 1 << 30:
            case.body["rate"] = 1 << 30
