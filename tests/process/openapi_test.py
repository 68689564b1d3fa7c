"""schemathesis against /openapi.json, as each role and without a token: no 5xx, no status, media type or body that the
document does not tell of. Skipped where it is not installed; deploy/attack installs it into build/attack.

SIGNUM_EXAMPLES: requests an operation (5); SIGNUM_SEED: which (0).
"""

import os
import pathlib

import pytest

from conftest import Family
from figures import record
from programs import ROOT, run

TOOL = pathlib.Path(os.environ.get("SIGNUM_SCHEMATHESIS", ROOT / "build/attack/bin/schemathesis"))
EXAMPLES = int(os.environ.get("SIGNUM_EXAMPLES", "5"))
SEED = os.environ.get("SIGNUM_SEED", "0")
HERE = ROOT / "tests/attack"

pytestmark = [pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL} is not there: deploy/attack installs it"),
              pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def open_family(tmp_path_factory):
    """Everyone is an admin: whatever is done to tokens, nobody is locked out."""
    folder = tmp_path_factory.mktemp("open")
    family = Family(folder, "--no-auth")
    yield family
    family.registry.kill()


def attack(url, folder, token=None, options=()):
    """Runs schemathesis; what it says where it found nothing."""
    command = [TOOL, "--config-file", HERE / "schemathesis.toml", "run", url + "/openapi.json",
               "--max-examples", EXAMPLES, "--seed", SEED, "--continue-on-failure", "--no-color",
               "--generation-database", "none", "--request-timeout", "60", "--warnings", "off",
               "--phases", "coverage,fuzzing,stateful", "--output-truncate", "false",
               "--report", "json", "--report-json-path", folder / "report.json"]
    if token:
        command += ["--header", f"Authorization: Bearer {token}"]
    done = run(*command, *options, env={"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "NO_PROXY": "*"}, timeout=2900,
               cwd=folder)
    assert done.returncode == 0, done.stdout[-30000:] + done.stderr[-2000:]
    return done.stdout


def cases(output):
    """How many requests were made."""
    line = next(line for line in output.splitlines() if "generated" in line)
    return int(line.split()[0])


# They may hit the very token that the attack has, and it would go on as nobody; or refuse every change after them.
APART = (("revokeToken", "rotateToken"), ("setMode",))


def test_as_admin(family, tmp_path):
    output = attack(family.registry.url, tmp_path, family.registry.token,
                    [part for operations in APART for operation in operations
                     for part in ("--exclude-operation-id", operation)])
    record("openapi as admin", requests=cases(output))


@pytest.mark.parametrize("operations", APART, ids="+".join)
def test_apart(open_family, tmp_path, operations):
    options = ["--exclude-checks", "ignored_auth,missing_required_header,negative_data_rejection"]
    for operation in operations:
        options += ["--include-operation-id", operation]
    output = attack(open_family.registry.url, tmp_path, options=options)
    record(f"openapi of {' and '.join(operations)}", requests=cases(output))


@pytest.mark.parametrize("role,tenants", [("publisher", ["kjv"]), ("node", ["kjv", "pysrc"]), ("auditor", []), (None, [])])
def test_as(family, tmp_path, role, tenants):
    token = family.admin.create_token(role, *tenants) if role else None
    output = attack(family.registry.url, tmp_path, token)
    record(f"openapi as {role or 'nobody'}", requests=cases(output))
