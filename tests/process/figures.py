"""What the attacks measured: a line of JSON each, into the file that SIGNUM_FIGURES names (deploy/attack shows them)."""

import json
import os


def record(suite, **figures):
    print(suite, figures)
    if path := os.environ.get("SIGNUM_FIGURES"):
        with open(path, "a") as file:
            file.write(json.dumps({"suite": suite, **figures}) + "\n")
