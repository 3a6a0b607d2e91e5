#!/usr/bin/env bash
# How many records logger(1) makes of one long line.
#
# Guess: a line is a record. `logger` sends it whole, as TCP and RFC 5424 allow, or cuts it at its limit of 1 KiB;
# either way it does the same however the text is handed over, and more than 1 KiB that is lost would be told.
# What happens (bsdutils 2.38.1): that depends on how the text comes. On standard input (a pipe, `-f`) a line of 3,000
# bytes becomes three records of at most 1,024 bytes, each with a header of its own and nothing that joins them. As one
# argument it becomes one record of 1,024 bytes, and the rest is gone, with exit status 0 and no word on standard error.
# As many arguments it becomes three again, parted between words, with the blanks at the seams gone. The other way
# round, an argument of two lines is sent over plain TCP as it is: a receiver that reads lines gets a second one without
# a header. `--size` moves the limit, `--octet-count` mends the second fault but not the first.
# Why it matters: a JSON line of a job that pipes into `logger` comes as three records, none of which parses: one event
# counts as three malformed ones, or the error in its middle is not found. Pieces are known only by their full length:
# 1,024 bytes of message, from one sender and tag. Tell people to set `--size` to what the receiver takes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download bsdutils=1:2.38.1-5+deb12u3 >/dev/null 2>&1 ||
  { apt-get update >/dev/null && apt-get download bsdutils=1:2.38.1-5+deb12u3 >/dev/null 2>&1; }
dpkg-deb --extract bsdutils_*.deb package
package/usr/bin/logger --version
python3 - package/usr/bin/logger <<'PY'
import socket
import subprocess
import sys

HEADER = b"<13>1 - - job - - - "


def sent(*arguments: str, text: str | None = None) -> bytes:
    """What logger sends over TCP for some arguments, or for a text on its standard input."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        where = ["--tcp", "--server", "127.0.0.1", "--port", str(server.getsockname()[1])]
        form = ["--rfc5424=notime,nohost,notq", "--tag", "job"]
        process = subprocess.Popen(
            [sys.argv[1], *where, *form, *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            _, errors = process.communicate(text, timeout=20)
            assert process.returncode == 0 and errors == "", errors
            received = b""
            while piece := connection.recv(65536):
                received += piece
    return received


def messages(received: bytes) -> list[int]:
    """The lengths of the messages behind their headers, of records that end in LF."""
    lines = received.removesuffix(b"\n").split(b"\n")
    return [len(line.removeprefix(HEADER)) if line.startswith(HEADER) else -len(line) for line in lines]


line = " ".join(["word"] * 600)  # 2,999 bytes
cases = {
    "standard input": messages(sent(text=line + "\n")),
    "one argument": messages(sent(line)),
    "600 arguments": messages(sent(*line.split())),
    "standard input, --size 8KiB": messages(sent("--size", "8KiB", text=line + "\n")),
    "two lines in one argument": messages(sent("one\ntwo")),
}
print("length", len(line))
for name, lengths in cases.items():
    print(f"{name:<28} {lengths} in all {sum(map(abs, lengths))}")
counted = sent("--octet-count", text=line + "\n")
print("--octet-count                ", counted.count(HEADER), "records")
assert cases == {
    "standard input": [1024, 1024, 951],
    "one argument": [1024],
    "600 arguments": [1024, 1024, 949],
    "standard input, --size 8KiB": [2999],
    "two lines in one argument": [3, -3],  # the second has no header
}, cases
assert counted.count(HEADER) == 3
assert sent("--octet-count", "one\ntwo") == b"27 " + HEADER + b"one\ntwo"
PY
