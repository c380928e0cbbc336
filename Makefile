# Two commands for a fresh machine with Python 3.11 or newer and make: `make study` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
export FEDRISK_HOME ?= $(CURDIR)/$(DEMO)/home
export FLWR_TELEMETRY_ENABLED = 0
export FLWR_DISABLE_UPDATE_CHECK = 1
export RAY_USAGE_STATS_ENABLED = 0
# Compiled modules are kept, whatever the machine's setting: each of the many processes that tests start would compile all anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: install study test quick lint types docs unit mangle damage conformance long flower consortium serve watch smoke clean \
	benchmarks benchmarks-history

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

# The main job: simulate three banks, tax office, power utility and social insurance, then run the study between them.
study: install
	rm -rf $(DEMO)
	$(BIN)/python -m sim_institutions --out $(DEMO)
	$(BIN)/fedrisk check $(DEMO)/study.toml
	$(BIN)/fedrisk run $(DEMO)/study.toml --out $(DEMO)/results

# Types and documentation are checked beside the tests, which wait for something other than the processor a good part of the time.
test: lint
	$(MAKE) --no-print-directory --jobs 2 unit types docs

# While you work: format, and the tests of single files that are quick.
quick: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n 2 -m 'not slow and not study' tests/unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

# The documentation as a site in build/site, which opens without a network; a broken link or reference fails.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Three workers on two cores: tests wait for processes of their own a fifth of the time.
unit: install
	$(BIN)/python -m pytest -n 3 --dist worksteal

# Every message of whole studies, mangled in more than ten thousand ways; a sample of it is part of the tests.
mangle: install
	$(BIN)/python -m pytest -n 2 -m mangle -rP tests/studies/test_mangled_messages.py tests/serving/test_mangled_scores.py

# Whole studies in more settings, and many times over; a setting of each is part of the tests.
long: install
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

# Every file of every store damaged in every way, and all commands on it; a sample of it is part of the tests.
damage: install
	$(BIN)/python -m pytest -n 2 -m damage -rP tests/studies/test_damaged_files.py

# A self-check against NIST SP 800-226 and JR/T 0196-2020: the tests of each requirement, as a sheet in build/conformance.
conformance: install
	$(BIN)/python -m fedrisk.conformance --out build/conformance

# The same study as a plain Flower app, on Flower's own simulation engine.
flower: install
	test -d $(DEMO)/data || $(BIN)/python -m sim_institutions --out $(DEMO)
	$(BIN)/fedrisk run $(DEMO)/study.toml --out $(DEMO)/flower --engine flower --again

# A hub and three nodes on this machine, over TLS: from the invitation to the report, every command shown.
consortium: install
	$(BIN)/python -m sim_institutions.consortium --out build/consortium

# Models that serve: a hub, a bank, three holders and a register of consents, until Ctrl-C; SERVE=--once ends by itself.
serve: install
	$(BIN)/python -m sim_institutions.serve --out build/serve $(SERVE)

# Models at work: a small province by months, a model of default and one that warns, a bank's watch of thirteen months with alerts,
# outcomes and pages. It ends by itself, and says where the last month's page is.
watch: install
	$(BIN)/python -m sim_institutions.watch --out build/watch

# Everything that benchmarks/ claims once more, in a copy of the source, about fourteen hours; what moved, and a line of history
# for each. Goes on where it was stopped; fails where a claim that held does not hold any more. BENCHMARKS="--quick", for example.
benchmarks: install
	$(BIN)/python -m benchmarks.redo $(BENCHMARKS)

benchmarks-history: install
	$(BIN)/python -m benchmarks.redo history $(BENCHMARKS)

# A small sweep of studies with baselines on the same rows, made anew: half a minute; its page is build/smoke/index.html.
smoke: install
	$(BIN)/fedrisk bench benchmarks/smoke.toml --out build/smoke --again

clean:
	rm -rf $(VENV) $(DEMO) .mypy_cache .pytest_cache .ruff_cache .hypothesis
