"""Settings: one table of flags, variables and keys of a file, and what deploy/OPERATIONS.md says of it."""

import re

import pytest

from programs import BIN, ROOT, run


def options():
    printed = run(BIN / "signumd", "--print-options")
    assert printed.returncode == 0, printed.stderr
    return printed.stdout


def rows():
    found = re.findall(r"^\| `--([a-z-]+)` \| `(SIGNUM_[A-Z_]+)` \| (?:`([^`]*)`)? ?\| ", options(), re.M)
    assert len(found) > 20
    return found


def test_the_reference_is_what_the_program_says():
    document = (ROOT / "deploy/OPERATIONS.md").read_text()
    begin, end = "<!-- signumd --print-options -->\n", "<!-- end -->"
    assert document.split(begin)[1].split(end)[0] == options(), "run signumd --print-options and put it there"


# A value that is not the default, and another; what is not here takes numbers.
SAMPLES = {"data": ("/tmp/one", "/tmp/two"), "listen": ("127.0.0.1:1", "127.0.0.1:2"), "port-file": ("/tmp/p", "/tmp/q"),
           "role": ("api", "worker"), "tls-cert": ("/tmp/c", "/tmp/d"), "tls-key": ("/tmp/k", "/tmp/l"),
           "tls-client-ca": ("/tmp/a", "/tmp/b"), "no-auth": ("true", None), "log": ("text", "off"), "device": ("cpu", "cuda:0"),
           "upload-expiry": ("2h", "3h"), "header-timeout": ("4s", "5s"), "body-timeout": ("6s", "7s")}
# What a value needs beside it.
WITH = {"tls-cert": ["--tls-key", "/tmp/k"], "tls-key": ["--tls-cert", "/tmp/c"],
        "tls-client-ca": ["--tls-cert", "/tmp/c", "--tls-key", "/tmp/k"]}


def in_force(key, arguments, env):
    """The value of `key` that --print-config shows."""
    data = [] if key == "data" else ["--data", "/tmp/unused"]
    done = run(BIN / "signumd", *data, *WITH.get(key, []), *arguments, "--print-config", env=env)
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())[key].strip('"')


def test_every_setting_comes_by_file_variable_and_flag(tmp_path):
    for key, variable, _ in rows():
        first, second = SAMPLES.get(key, ("11", "12"))
        file = tmp_path / "signumd.toml"
        file.write_text(f'{key} = "{first}"\n')
        assert in_force(key, ["--config", file], {}) == first, key
        assert in_force(key, [], {variable: first}) == first, key
        assert in_force(key, ["--" + key] + ([] if key == "no-auth" else [first]), {}) == first, key
        if second is None:
            continue
        assert in_force(key, ["--config", file], {variable: second}) == second, f"{key}: a variable beats the file"
        assert in_force(key, ["--" + key, first], {variable: second}) == first, f"{key}: a flag beats a variable"


def test_the_file_itself_comes_by_a_variable(tmp_path):
    file = tmp_path / "signumd.toml"
    file.write_text("workers = 7\n")
    assert in_force("workers", [], {"SIGNUM_CONFIG": str(file)}) == "7"


@pytest.mark.parametrize("text", ["wrkers = 7\n", "workers = many\n", "workers = 0\n"])
def test_a_wrong_file_is_refused(tmp_path, text):
    file = tmp_path / "signumd.toml"
    file.write_text(text)
    done = run(BIN / "signumd", "--data", tmp_path, "--config", file)
    assert done.returncode == 2 and "w" in done.stderr
