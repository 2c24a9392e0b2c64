# `make demo` and `make test` need nothing but Python 3.11 or newer; the rest is installed into .venv.
# Works with GNU make from 3.81 on and any POSIX shell.

PORT ?= 8000
WORKERS ?= 2
PYTHON2 ?= python2.7
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
# What is checked besides the library; not every checkout of a package has examples.
EXAMPLES := $(wildcard examples)
PACKAGES = $(sort $(dir $(wildcard src/roomful/*/__init__.py)))

# Tried in this order; `make PYTHON=/path/to/python` tries that one alone.
PYTHONS := $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3)

.DEFAULT_GOAL := help
.PHONY: help demo test slow nemesis faults fuzz autobahn bench probe-matrix probe-seed check fix cov clean

# An environment whose Python has gone (an upgrade, a copied folder) is made again.
$(shell [ ! -e $(VENV)/.made ] || { [ "$$(cat $(VENV)/.made)" = "$(CURDIR)" ] && $(PY) -c ''; } 2>/dev/null || rm $(VENV)/.made)

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "PYTHON=python3.12 chooses the Python, for the first command in a clone or after make clean."

demo: $(VENV)/.demo  ## run the examples on http://127.0.0.1:8000 (PORT=9000 for another port)
	@echo "demo: starting the examples on port $(PORT); Ctrl-C ends them"
	@$(PY) -m examples --port $(PORT)

test: $(VENV)/.dev  ## run the tests (ARGS="-k chat" for some of them, WORKERS=1 for one process)
	@echo "test: running the tests in $(WORKERS) processes"
	@$(PY) -m pytest -q -n $(WORKERS) -m "not slow" $(ARGS)

slow: $(VENV)/.dev  ## run the tests that take long
	@echo "slow: running the long tests"
	@$(PY) -m pytest -q -m slow --timeout 600 $(ARGS)

nemesis: $(VENV)/.dev  ## torture our servers for some minutes and judge a million deliveries (ARGS="--seeds 7" for others)
	@echo "nemesis: connections are cut, members stall, handlers fail, servers are killed"
	@PYTHONPATH=. $(PY) -m tests.nemesis $(ARGS)

faults: $(VENV)/.dev  ## do to servers and nodes what bad days do, half a million deliveries each, and print the table
	@echo "faults: two nodes and a real server; takes many minutes"
	@$(PY) -m tests.faults $(ARGS)

fuzz: $(VENV)/.dev  ## compare our frame parser with that of websockets for a minute
	@echo "fuzz: random streams of frames, cut at random"
	@PYTHONPATH=. $(PY) -m tests.server.fuzz_parser --seconds 60 $(ARGS)

autobahn: $(VENV)/.dev  ## run the Autobahn suite against our interface server; needs Python 2.7 (PYTHON2=…)
	@echo "autobahn: all cases but those of compression; the suite is installed into .autobahn once"
	@$(PY) tests/autobahn/run.py --cache .autobahn --python2 $(PYTHON2) $(ARGS)

bench: $(VENV)/.bench  ## measure side by side with others (ARGS="--case fanout --quick" for a minute)
	@echo "bench: servers on one core, load on the other"
	@$(PY) -m bench $(ARGS)

probe-matrix: $(VENV)/.dev  ## which cause the probe names for which planted fault (ARGS="--runs 2 --only memory")
	@echo "probe-matrix: each server of examples/broken ten times, 20 seconds each; the matrix goes to build"
	@$(PY) -m tests.probe.bench.matrix $(ARGS)

probe-seed: $(VENV)/.seed  ## images of many sizes and numbers against FastAPI, Channels and Roomful (ARGS=--quick)
	@echo "probe-seed: in about eight minutes; the report goes to build/images (ARGS=\"--out docs/reports\" for another place)"
	@$(PY) -m examples.three_ways $(ARGS)

# --verifytypes knows no --pythonpath; it asks the first python of PATH where packages are.
check: $(VENV)/.dev  ## lint, format, types, completeness of the public types, import contracts
	@echo "check: ruff"
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@echo "check: mypy"
	@$(PY) -m mypy src $(EXAMPLES)
	@echo "check: pyright, completeness of the public types"
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PY) -m pyright --verifytypes roomful --ignoreexternal
	@echo "check: import contracts"
	@$(VENV)/bin/lint-imports --no-logo

fix: $(VENV)/.dev  ## repair what ruff can, and format
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

cov: $(VENV)/.dev  ## run the tests and report branch coverage, by file and by package
	@echo "cov: running the tests in $(WORKERS) processes, measured"
	@$(PY) -m coverage erase
	@$(PY) -m pytest -q -n $(WORKERS) --cov --cov-report= $(ARGS)
	@$(PY) -m coverage report
	@echo
	@printf '%-28s %8s %8s %8s %8s %8s\n' package lines missed branches partial covered
	@for package in $(PACKAGES); do \
	  $(PY) -m coverage report --include="$${package}*" 2>/dev/null \
	    | awk -v name="$$package" '$$1 == "TOTAL" { printf "%-28s %8s %8s %8s %8s %8s\n", name, $$2, $$3, $$4, $$5, $$6 }'; \
	done

clean:  ## remove .venv and everything that was generated
	@rm -rf $(VENV) build dist htmlcov test-results .coverage .coverage.* coverage.xml
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests $(EXAMPLES) -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "clean: removed the environment and everything that was generated"

# A Python that is found may still not run (a version manager's stub), so each is executed.
$(VENV)/.made:
	@found=; bare=; \
	for python in $(PYTHONS); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$python; break; fi; \
	  bare=$${bare:-$$python}; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
	  echo "error: $$bare cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	elif [ -z "$$found" ]; then \
	  echo "error: no Python 3.11 or newer runs here (tried: $(PYTHONS)); name one: make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	echo "setup: making $(VENV) with $$("$$found" -c 'import platform; print("Python", platform.python_version())')"; \
	"$$found" -m venv --clear $(VENV) && echo "$(CURDIR)" > $@

# Stamps: each is younger than what it was installed from.
$(VENV)/.demo: $(VENV)/.made requirements/demo.txt requirements/transitive.txt pyproject.toml
	@echo "setup: installing what the demo needs into $(VENV)"
	@$(PIP) -r requirements/demo.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.made requirements/demo.txt requirements/dev.txt requirements/transitive.txt pyproject.toml
	@echo "setup: installing what the tests and checks need into $(VENV)"
	@$(PIP) -r requirements/dev.txt -e .
	@touch $(VENV)/.demo $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	@echo "setup: installing what is measured beside us into $(VENV)"
	@$(PIP) -r requirements/bench.txt
	@touch $@

$(VENV)/.seed: $(VENV)/.dev requirements/seed.txt
	@echo "setup: installing Channels' Redis layer and its server into $(VENV)"
	@$(PIP) -r requirements/seed.txt
	@touch $@
