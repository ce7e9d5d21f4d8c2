# make demo    the main job on this machine, all set-up included
# make ui      the web page over what the last demo left
# make test    the tests, all set-up included; ARGS=words for pytest
# make soak    a site whose processes are killed until all is quiet; SEED=number to repeat one
# make test-stack  the deployment with docker compose, where a Docker engine is: some minutes
# make lint    format, style, types, layers
# make bench   the benchmarks; ONLY=name for one
# make sbom    what is installed here, as a CycloneDX bill of materials
# make audit-dependencies  what is installed, looked up in a database of known faults; AUDIT_OPTIONS for pip-audit
# make constraints  every version with its hashes; LOCK_OPTIONS for pip-compile, such as --upgrade-package=NAME
# make upgrade-check  the contracts with Dagster's private names, tried with the newest Dagster that there is
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
ARGS ?=
# The tests, shared among three processes, for much of a test is waiting; ARGS=-n0 has them in one, one after the other.
SHARED := -n 3 --dist loadscope --no-loadscope-reorder
# Playwright's driver needs libatomic.
FOR_BROWSER := chromium:chromium '/usr/lib/*/libatomic.so.1:libatomic1'

.PHONY: demo ui test test-stack soak lint format bench pictures constraints sbom audit-dependencies upgrade-check clean

demo: .venv/demo
	@.ci/debian-packages rsync:rsync
	@$(BIN)/ao demo

ui: .venv/demo
	@.ci/debian-packages rsync:rsync
	@$(BIN)/ao ui

test: .venv/test .build/peers
	@.ci/debian-packages rsync:rsync mariadbd:mariadb-server shellcheck:shellcheck openssl:openssl haproxy:haproxy \
		kubectl:kubernetes-client '/usr/lib/postgresql/*/bin/initdb:postgresql' redis-server:redis-server $(FOR_BROWSER)
	@$(BIN)/python -m pytest $(SHARED) $(ARGS)

soak: .venv/test
	@.ci/debian-packages rsync:rsync
	@$(BIN)/python -m ao_workflows_tests.soak $(if $(SEED),--seed $(SEED))

test-stack: .venv/test
	@.ci/debian-packages openssl:openssl
	@$(BIN)/python -m pytest ao_workflows_tests/stack $(ARGS)

lint: .venv/lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: .venv/lint
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/bench
	@.ci/debian-packages rsync:rsync '/usr/lib/postgresql/*/bin/initdb:postgresql' redis-server:redis-server
	@$(BIN)/python -m benchmarks $(ONLY)

pictures: .venv/test
	@.ci/debian-packages rsync:rsync $(FOR_BROWSER)
	@AO_PICTURES=docs/images $(BIN)/python -m pytest ao_workflows_tests/ui

# The environment, with each extra once: a target's stamp is newer than what says what is in it.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 is missing: sudo apt-get install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "Run this, then try again: sudo apt-get install python3-venv" >&2; exit 2; }

# The archive's present tool for deep copies, without what it requires: pandas, and a database's library. So it is in no
# environment, which would lack them.
.build/peers: .ci/peers.txt | .venv/bin/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--upgrade --target $@ -r $<
	@touch $@

# What it is built with came before, by its hash.
.venv/%: pyproject.toml constraints.txt .ci/install.py | .venv/bin/python
	@echo "Setting up: ao-workflows[$*] in .venv"
	@$(BIN)/python .ci/install.py $*
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation -e .
	@touch $@

constraints: .venv/bin/python
	@$(BIN)/python .ci/lock.py $(LOCK_OPTIONS)

sbom: .venv/bin/python
	@mkdir -p .build
	@$(BIN)/python docker/image/sbom .venv >.build/sbom.cdx.json
	@echo "It is in .build/sbom.cdx.json"

audit-dependencies: .venv/bin/python
	@$(BIN)/python .ci/audit_dependencies.py $(AUDIT_OPTIONS)

# In an environment of its own, which is made anew each time.
upgrade-check: .venv/bin/python
	@$(BIN)/python .ci/upgrade_check.py

clean:
	rm -rf .venv .demo .build
