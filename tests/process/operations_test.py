"""Settings: one table of flags, variables and keys of a file, and what deploy/OPERATIONS.md says of it."""

import pathlib
import re

import pytest
import yaml

from programs import BIN, ROOT, run


# What a program must be told, so that it takes its settings.
NEEDED = {"signumd": {"data": "/tmp/unused"},
          "signum-node": {"registry": "http://127.0.0.1:1", "tenant": "acme", "cache": "/tmp/unused"}}
PROGRAMS = pytest.mark.parametrize("program", NEEDED)


def options(program):
    printed = run(BIN / program, "--print-options")
    assert printed.returncode == 0, printed.stderr
    return printed.stdout


def rows(program):
    found = re.findall(r"^\| `--([a-z0-9-]+)` \| `(SIGNUM_[A-Z0-9_]+)` \| (?:`([^`]*)`)? ?\| ", options(program), re.M)
    assert len(found) > 20
    return found


@PROGRAMS
def test_the_reference_is_what_the_program_says(program):
    document = (ROOT / "deploy/OPERATIONS.md").read_text()
    begin, end = f"<!-- {program} --print-options -->\n", "<!-- end -->"
    said = document.split(begin)[1].split(end)[0]
    assert said == options(program), f"run {program} --print-options and put it there"


# A value that is not the default, and another; what is not here takes numbers.
SAMPLES = {"data": ("/tmp/one", "/tmp/two"), "listen": ("127.0.0.1:1", "127.0.0.1:2"), "port-file": ("/tmp/p", "/tmp/q"),
           "role": ("api", "worker"), "tls-cert": ("/tmp/c", "/tmp/d"), "tls-key": ("/tmp/k", "/tmp/l"),
           "tls-client-ca": ("/tmp/a", "/tmp/b"), "no-auth": ("true", None), "log": ("text", "off"), "precision": ("fast", "fp32"),
           "upload-expiry": ("2h", "3h"), "header-timeout": ("4s", "5s"), "body-timeout": ("6s", "7s"),
           "gc-every": ("8m", "off"), "gc-grace": ("9m", "10m"), "scrub-every": ("11h", "off"), "backup-dir": ("/tmp/e", "/tmp/f"),
           "restore": ("/tmp/g", "/tmp/h"), "read-only": ("true", None),
           "registry": ("http://127.0.0.1:2", "http://127.0.0.1:3"), "token": ("one", "two"), "ca-file": ("/tmp/a", "/tmp/b"),
           "cert-file": ("/tmp/c", "/tmp/d"), "key-file": ("/tmp/k", "/tmp/l"), "tenant": ("one", "two"), "cache": ("/tmp/m", "/tmp/n"),
           "pin": ("acme/one", "acme/two"), "node": ("one", "two"), "trust-key": ("one", "two"), "serve": ("false", None),
           "base": ("/tmp/o", "/tmp/r"), "api-key": ("one", "two"), "device": ("cpu", "cuda:0"), "device/signum-node": ("cuda:0", "auto")}
# What a value needs beside it.
WITH = {"tls-cert": ["--tls-key", "/tmp/k"], "tls-key": ["--tls-cert", "/tmp/c"],
        "tls-client-ca": ["--tls-cert", "/tmp/c", "--tls-key", "/tmp/k"], "at": ["--restore", "/tmp/b"]}


def in_force(program, key, arguments, env):
    """The value of `key` that --print-config shows."""
    needed = [part for other, value in NEEDED[program].items() if other != key for part in ("--" + other, value)]
    done = run(BIN / program, *needed, *WITH.get(key, []), *arguments, "--print-config", env=env)
    assert done.returncode == 0, done.stderr
    shown = dict(line.split("=", 1) for line in done.stdout.splitlines())[key]
    return re.sub(r'^\["(.*)"\]$', r"\1", shown).strip('"')


@PROGRAMS
def test_every_setting_comes_by_file_variable_and_flag(program, tmp_path):
    for key, variable, _ in rows(program):
        first, second = SAMPLES.get(f"{key}/{program}", SAMPLES.get(key, ("11", "12")))
        file = tmp_path / "settings.toml"
        file.write_text(f'{key} = "{first}"\n')
        flag = [f"--{key}={first}"] if second is None else ["--" + key, first]
        assert in_force(program, key, ["--config", file], {}) == first, key
        assert in_force(program, key, [], {variable: first}) == first, key
        assert in_force(program, key, flag, {}) == first, key
        if second is None:
            continue
        assert in_force(program, key, ["--config", file], {variable: second}) == second, f"{key}: a variable beats the file"
        assert in_force(program, key, flag, {variable: second}) == first, f"{key}: a flag beats a variable"


@PROGRAMS
def test_a_flag_may_stand_alone(program):
    alone = "no-auth" if program == "signumd" else "no-serve"
    key, want = ("no-auth", "true") if program == "signumd" else ("serve", "false")
    assert in_force(program, key, ["--" + alone], {}) == want


@PROGRAMS
def test_the_file_itself_comes_by_a_variable(program, tmp_path):
    key = "workers" if program == "signumd" else "connections"
    file = tmp_path / "settings.toml"
    file.write_text(f"{key} = 7\n")
    assert in_force(program, key, [], {"SIGNUM_CONFIG": str(file)}) == "7"


@PROGRAMS
@pytest.mark.parametrize("text", ["wrkers = 7\n", "KEY = many\n", "KEY = 0\n"])
def test_a_wrong_file_is_refused(program, tmp_path, text):
    key = "workers" if program == "signumd" else "connections"
    file = tmp_path / "settings.toml"
    file.write_text(text.replace("KEY", key))
    needed = [part for other, value in NEEDED[program].items() for part in ("--" + other, value)]
    done = run(BIN / program, *needed, "--config", file)
    assert done.returncode == 2 and ("wrkers" in done.stderr or key in done.stderr)


def test_a_nodes_tenants_come_as_a_list(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('tenant = ["one", "two"]\n')
    for arguments, env in [(["--config", file], {}), ([], {"SIGNUM_TENANT": "one,two"}), (["--tenant", "one", "--tenant", "two"], {})]:
        shown = in_force("signum-node", "tenant", arguments, env)
        assert re.findall(r"[a-z]+", shown) == ["one", "two"], shown


def needed_libraries(program):
    """What the program itself asks for: its NEEDED entries."""
    shown = run("readelf", "-d", BIN / program).stdout
    return re.findall(r"\(NEEDED\).*\[(.*)\]", shown)


def test_the_containers_packages_hold_every_library():
    packages = (ROOT / "deploy/docker/run-packages.txt").read_text().split()
    held = {pathlib.Path(path).name for package in packages
            for path in run("dpkg", "-L", package).stdout.splitlines() if ".so" in path}
    base = {pathlib.Path(path).name for package in ("libc6", "libgcc-s1", "libstdc++6")
            for path in run("dpkg", "-L", package).stdout.splitlines() if ".so" in path}
    for program in ("signumd", "signum", "signum-node"):
        needed = set(needed_libraries(program))
        assert "libstdc++.so.6" in needed
        assert needed <= held | base, needed - held - base


def test_every_alert_has_its_entry_in_the_runbook():
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    alerts = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    runbook = (ROOT / "deploy/OPERATIONS.md").read_text().split("## Runbook")[1]
    assert sorted(alerts) == sorted(re.findall(r"^### (\w+)$", runbook, re.M)) and alerts


def test_alerts_ask_for_metrics_that_exist():
    """A rule over a metric that nobody exports never fires. (A family shows up once it has a series, so the sources tell.)"""
    sources = (ROOT / "server/metrics.cc").read_text() + (ROOT / "client/node/node_metrics.cc").read_text()
    exported = set(re.findall(r'"(signum_\w+)"', sources))
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    asked = {metric for group in rules["groups"] for rule in group["rules"]
             for metric in re.findall(r"\bsignum_\w+", rule["expr"])}
    assert asked and asked <= exported, asked - exported


def commands_of(manifest):
    """Every list of arguments of our programs in a manifest."""
    for document in yaml.safe_load_all(manifest.read_text()):
        spec = (document.get("spec") or {}).get("template", {}).get("spec", {})
        for container in spec.get("containers", []):
            yield container["name"], container.get("args", [])
        for name, service in (document.get("services") or {}).items():
            yield "signum-node" if name == "node" else "signumd", service.get("entrypoint", [])[1:]


@pytest.mark.parametrize("manifest", ["kubernetes/registry.yaml", "kubernetes/node.yaml", "docker/compose.yaml"])
def test_manifests_use_flags_that_exist(manifest):
    seen = 0
    for program, arguments in commands_of(ROOT / "deploy" / manifest):
        known = run(BIN / program, "--help").stdout
        for flag in (a for a in arguments if a.startswith("--")):
            assert flag + " " in known or flag + "," in known, f"{program} {flag}"
            seen += 1
    assert seen


@pytest.mark.parametrize("unit", ["signumd", "signum-node"])
def test_units_use_flags_that_exist(unit):
    text = (ROOT / f"deploy/systemd/{unit}.service").read_text()
    command = re.search(r"^ExecStart=/usr/bin/([\w-]+) (.*)$", text, re.M)
    known = run(BIN / command[1], "--help").stdout
    flags = re.findall(r"--[a-z-]+", command[2])
    assert flags and all(flag + " " in known for flag in flags), flags
