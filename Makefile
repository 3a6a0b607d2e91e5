# Needs Python 3.11 or later with its venv module, and make.
PYTHON ?= python3
PY := .venv/bin/python
PIP_FLAGS := --quiet --disable-pip-version-check

.PHONY: run test soak check bench screenshots lock clean

# The tests start Python a hundred times: they keep what was compiled.
unexport PYTHONDONTWRITEBYTECODE

run: .venv/run
	$(PY) -m server

test: .venv/dev
	$(PY) -m pytest -n 3 --dist loadfile

soak: .venv/dev
	$(PY) -m pytest -m hypothesis --hypothesis-profile=thorough -n 2 --dist loadfile
	$(PY) -m pytest -m soak --timeout=3600

check: .venv/dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest tests/test_architecture.py tests/test_circles.py tests/test_words.py

# The pictures of docs/runbook.md, by the test that plays an incident.
screenshots: .venv/dev
	SCREENSHOTS=docs/img $(PY) -m pytest tests/journey/test_incident.py

bench: .venv/dev
	$(PY) -m benchmarks --write

.venv/bin/python:
	$(PYTHON) -m venv .venv

# What runs: the locked dependencies, the embedded database, and where a compiler is the compiled part of ingest.
.venv/run: requirements.txt requirements-dev.txt setup.cfg setup.py server/ingest/compiled.c | .venv/bin/python
	$(PY) -m pip install $(PIP_FLAGS) -r requirements.txt
	$(PY) -m pip install $(PIP_FLAGS) -c requirements-dev.txt -e '.[embedded]'
	touch $@

# What tests, on top of it.
.venv/dev: .venv/run
	$(PY) -m pip install $(PIP_FLAGS) -r requirements-dev.txt
	touch $@

# The locks, made anew from setup.cfg in a clean environment.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install $(PIP_FLAGS) .
	.venv-lock/bin/python -m pip freeze --exclude evenkeel > requirements.txt
	.venv-lock/bin/python -m pip install $(PIP_FLAGS) '.[embedded,test,dev]'
	.venv-lock/bin/python -m pip freeze --all --exclude evenkeel --exclude pip > requirements-dev.txt
	rm -rf .venv-lock build evenkeel.egg-info

clean:
	rm -rf .venv .evenkeel build server/ingest/*.so
