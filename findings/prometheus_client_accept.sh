#!/usr/bin/env bash
# What prometheus_client answers to an Accept header that asks for something it cannot write.
#
# Guess: it picks by `q`, and for a version of OpenMetrics that it does not know the next best, at the end plain text.
# What happens (prometheus-client 0.26.0, `choose_encoder`, as its WSGI and ASGI apps use it): the first OpenMetrics in
# the header wins, whatever its `q`, 0 ("not this one") too. It says to be whichever version it was asked for, 9.9.9 or
# 2.0.0, and writes the same text of 1.0.0. A version that is no number raises, and the scrape is an error.
# Why it matters: a scraper that knows 2.0 and asks for it first gets 1.0.0 text under the label 2.0.0, and parses it by
# the wrong rules; a proxy or a test that lists OpenMetrics with a low `q` gets it nevertheless. Negotiate yourself.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check prometheus-client==0.26.0 2>/dev/null
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.exposition import choose_encoder

print("prometheus-client", version("prometheus-client"))
registry = CollectorRegistry()
Counter("done", "d", registry=registry).inc()
texts = {}
for accept in (
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=2.0.0",
    "application/openmetrics-text;version=9.9.9",
    "application/openmetrics-text;version=1.0.0;q=0,text/plain;version=0.0.4",
    "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=0.0.4;q=0.9",
):
    encoder, content_type = choose_encoder(accept)
    texts[accept] = encoder(registry)
    print(f"{accept:<80} {content_type}")
    asked = accept.partition("version=")[2][:5]
    assert content_type.startswith(f"application/openmetrics-text; version={asked}"), "it negotiates now"
assert len(set(texts.values())) == 1, "versions differ now"
try:
    choose_encoder("application/openmetrics-text;version=new")
except Exception as error:
    print("version=new:", repr(error))
else:
    raise AssertionError("it takes that now")
PY
