# Two commands set everything up: `make demo` and `make test`. Neither needs root or Docker.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
UV ?= uv
LOCK := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11 --upgrade

.DEFAULT_GOAL := help
.PHONY: help demo run test fast fuzz mutants faults soak bench bench-delivery bench-peers pythons services compose screenshots lint format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

# Installed once; again only when a lock file or the project's own metadata changes.
$(VENV)/%.stamp: requirements/%.txt pyproject.toml
	@echo "setting up $(VENV) from $< (half a minute the first time, then never again)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/run.stamp ## issue, verify, revoke, refused: an issuer and three agents on this machine (about 10 s)
	@$(BIN)/tocsin demo

run: $(VENV)/run.stamp ## the same, kept up: issuer on 8080, sidecar on 8081, with lines to paste; Ctrl-C ends it
	@$(BIN)/tocsin demo --stay

services: $(VENV)/dev.stamp ## fetch or build Kafka, Redis, Consul and PostgreSQL for the tests (once, 4 to 8 minutes; cached)
	@$(BIN)/python -m tests.services build

# Processes that share the tests, a file at a time; each has services of its own.
TESTERS ?= 3
test: $(VENV)/dev.stamp services ## the whole test suite on real services (about 15 minutes on two cores, services built once before)
	@$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder

fast: $(VENV)/dev.stamp ## unit tests, vectors, and attacks on the verifier: nothing is started (half a minute on two cores)
	@$(BIN)/python -m pytest -n auto -p no:schemathesis tests/unit tests/vectors tests/security --ignore-glob='*/test_issuer_*' --ignore-glob='*/test_event_feed_*' --ignore-glob='*/test_redis_*'

FUZZ_SECONDS ?= 30
fuzz: ## coverage-guided fuzzing of tokens and of events, FUZZ_SECONDS=30 each (KEEP=--keep adds to the corpus)
	@$(MAKE) --no-print-directory VENV=.venv-fuzz .venv-fuzz/fuzz.stamp
	@.venv-fuzz/bin/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(KEEP)

mutants: $(VENV)/dev.stamp ## drop or turn round each step of verifying in turn: some test must fail (about an hour)
	@$(BIN)/python -m tests.mutation

faults: $(VENV)/dev.stamp services ## break every part in turn while agents verify, and write docs/outages.md (about 25 minutes)
	@$(BIN)/python -m tests.faults

SOAK_SECONDS ?= 900
soak: $(VENV)/dev.stamp services ## random faults on one installation for SOAK_SECONDS=900; SEED= to do it again
	@$(BIN)/python -m tests.faults.soak --seconds $(SOAK_SECONDS) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/dev.stamp ## delivery on the embedded log and on Kafka, and verification, on this machine (about 1 minute)
	@$(BIN)/tocsin bench delivery
	@$(BIN)/python -m tests.services with kafka -- $(BIN)/tocsin bench delivery --log kafka://{kafka} --agents 20 --processes 2
	@$(BIN)/tocsin bench verify

bench-delivery: $(VENV)/dev.stamp services ## delivery against its goals, on Kafka, Redis, SQLite and the feed; writes docs/performance.md (4 to 5 minutes)
	@$(BIN)/python -m benchmarks.report --measure delivery

bench-peers: ## verification and the issuer beside every peer there is: Python's, and those of Node and Go where installed (8 minutes)
	@$(MAKE) --no-print-directory VENV=.venv-bench .venv-bench/bench.stamp
	@.venv-bench/bin/python -m benchmarks.peers
	@.venv-bench/bin/python -m benchmarks.issuer

pythons: ## the fast tests on every supported Python that this machine has
	@.ci/pythons

compose: ## build the image, bring up docker-compose.yml, check it from outside, take it down (needs Docker; 2 to 4 minutes)
	@$(PYTHON) -m tests.compose

screenshots: $(VENV)/dev.stamp ## take the pictures of docs/pages/ anew (needs Chromium)
	@$(BIN)/python -m tests.chromium.screenshots

lint: $(VENV)/dev.stamp ## ruff, mypy strict, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## let ruff lay out the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## pin every dependency anew, with hashes (needs uv)
	$(LOCK) pyproject.toml --extra all --group build -o requirements/run.txt
	$(LOCK) pyproject.toml --extra all --group build --group dev -c requirements/run.txt -o requirements/dev.txt
	$(LOCK) pyproject.toml --extra all --extra bench --group build --group dev --group bench -c requirements/dev.txt -o requirements/bench.txt
	$(LOCK) pyproject.toml requirements/fuzz.in --group build -c requirements/run.txt -o requirements/fuzz.txt

clean: ## remove what make made in this folder (the service cache stays)
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build *.egg-info
