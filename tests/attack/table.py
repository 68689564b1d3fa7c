"""Prints the figures of the attacks (tests/process/figures.py) as a Markdown table. usage: table.py FILE"""

import json
import pathlib
import sys

print("| attack | measured |\n|---|---|")
for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
    figures = json.loads(line)
    suite = figures.pop("suite")
    print(f"| {suite} | {', '.join(f'{key} {value}' for key, value in figures.items())} |")
