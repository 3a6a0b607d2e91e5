#!/usr/bin/env bash
# What width rich draws for when it is given one.
#
# Guess: `Console(width=36)` draws for 36 columns, wherever it writes: "The width of the terminal. Leave as default to
# auto-detect width", says its docstring.
# What happens (rich 15.0.0): on a terminal where TERM is `dumb` or `unknown` (Emacs' shell is one) the width that was
# given is not used: it draws for 80 columns, unless a height is given too. Into a file, on any other terminal, and
# where TERM is not set, the width alone is enough: what was tested into a file, or under xterm, comes out twice as wide
# where there is least room.
# Why it matters: whoever measures whether a table fits, and draws it otherwise where it does not, decides by one width
# and draws by another. Give `height` too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check rich==15.0.0 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import io
from importlib.metadata import version

from rich.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


print("rich", version("rich"))
print("given 36 columns:")
for environment in ({"TERM": "xterm-256color"}, {"TERM": "dumb"}, {"TERM": "unknown"}, {}):
    for where, kind in (("a terminal", Terminal), ("a file", io.StringIO)):
        for height in (None, 20):
            file = kind()
            Console(file=file, width=36, height=height, _environ=environment).print("x" * 200)
            longest = max(map(len, file.getvalue().splitlines()))
            said = "" if height is None else ", height given"
            there = f"TERM={environment['TERM']}" if environment else "without TERM"
            print(f"  {there}, {where}{said}: draws {longest}{'  <--' if longest != 36 else ''}")
PY
