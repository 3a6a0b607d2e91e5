#!/usr/bin/env bash
# What becomes of the digits behind the microseconds of a time.
#
# Guess: Python has microseconds, so every reader cuts what stands behind them: .123456789 is .123456 for all.
# What happens (msgspec 0.23.0; beside Python 3.11, pydantic 2, python-dateutil and protobuf): msgspec alone rounds, and
# carries: 23:59:59.9999999 of 30 November is 00:00 of 1 December. The others cut.
# Why it matters: Go, .NET and Java write seven to nine digits (Alertmanager's `startsAt` does). Read by msgspec in one
# place and by fromisoformat() in another, one time is two for half of all senders' times, so a key or a duplicate check
# with a time in it fails now and then; and the last half microsecond of a day, a minute or a window is counted into the
# next one. Read a time in one way everywhere, and compare keys as text.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.23.0 pydantic==2.13.4 \
  python-dateutil==2.9.0.post0 protobuf==7.36.2 2>/dev/null
"$work/venv/bin/python" - <<'PY'
import random
from datetime import UTC, datetime
from importlib.metadata import version

import msgspec
from dateutil.parser import isoparse
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import TypeAdapter

for name in ("msgspec", "pydantic", "python-dateutil", "protobuf"):
    print(name, version(name))


def by_protobuf(text: str) -> datetime:
    stamp = Timestamp()
    stamp.FromJsonString(text)
    return stamp.ToDatetime(UTC)


readers = {
    "msgspec": lambda text: msgspec.json.decode(f'"{text}"', type=datetime),
    "fromisoformat": datetime.fromisoformat,
    "pydantic": TypeAdapter(datetime).validate_python,
    "dateutil": isoparse,
    "protobuf": by_protobuf,
}
texts = ["2026-11-30T10:00:00.123456789Z", "2026-11-30T23:59:59.9999999Z", "2026-11-30T23:59:59.999999499Z"]
cut = [datetime(2026, 11, 30, 10, 0, 0, 123456, UTC), *[datetime(2026, 11, 30, 23, 59, 59, 999999, UTC)] * 2]
rounded = [datetime(2026, 11, 30, 10, 0, 0, 123457, UTC), datetime(2026, 12, 1, tzinfo=UTC), cut[2]]
for name, read in readers.items():
    found = [read(text) for text in texts]
    print(f"{name:<14}", *(moment.isoformat() for moment in found))
    assert found == (rounded if name == "msgspec" else cut), (name, found)

random.seed(12)
drawn = [f"2026-11-30T10:00:00.{random.randrange(10**9):09}Z" for _ in range(10_000)]
differ = sum(readers["msgspec"](text) != datetime.fromisoformat(text) for text in drawn)
print("of 10000 random times with nine digits", differ, "differ between msgspec and fromisoformat")
assert 4_500 < differ < 5_500
PY
