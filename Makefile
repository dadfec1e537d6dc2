# `make` shows what there is. Everything runs from .venv, which scripts/bootstrap makes.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif
MAKEFLAGS += --no-print-directory

export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Ansible refuses a locale that is not UTF-8 or not installed; ssh may bring the latter along. This one always is.
export LC_ALL := C.UTF-8

LAB := .venv/bin/python -m lab
STAGE := scripts/stage
# Only directories that hold Python: mypy refuses others.
PYTHON_DIRS = $(foreach dir,lab plugins tests benchmarks scripts,$(if $(shell find $(dir) -name '*.py' -print -quit 2>/dev/null),$(dir)))
SCENARIOS = $(notdir $(patsubst %/molecule.yml,%,$(wildcard molecule/*/molecule.yml)))

on = $(filter 1 yes true on,$(1))
# Without INVENTORY the embedded lab is meant, and brought up first.
nodes := $(or $(INVENTORY),inventories/lab)
common = -i $(nodes) $(if $(LIMIT),--limit '$(LIMIT)') $(if $(PROFILE),-e node_profile='$(PROFILE)')

##@ Nodes
.PHONY: optimize diff explain
optimize: $(if $(INVENTORY),runtime,lab-up) ## tune the nodes: INVENTORY= LIMIT= CHECK=1 DIFF=1 PROFILE= ARGS=; without INVENTORY: the embedded lab
	ansible-playbook swarm.node.optimize $(common) $(if $(call on,$(CHECK)),--check) $(if $(call on,$(DIFF)),--diff) $(ARGS)

diff: $(if $(INVENTORY),runtime,lab-up) ## optimize in check mode with the differences: what would change now
	ansible-playbook swarm.node.optimize $(common) --check --diff $(ARGS)

explain: $(if $(INVENTORY),runtime,$(if $(call on,$(LIVE)),lab-up,runtime)) ## say where each value comes from: HOST= (or LIMIT=) INVENTORY= LIVE=1 ARGS=
	ansible-playbook swarm.node.explain -i $(nodes) $(if $(or $(HOST),$(LIMIT)),--limit '$(or $(HOST),$(LIMIT))') $(if $(PROFILE),-e node_profile='$(PROFILE)') $(if $(call on,$(LIVE)),-e live=true) $(ARGS)

##@ Embedded lab
.PHONY: lab-up lab-stop lab-down
lab-up: lab-tools ## start three nodes with simulated GPUs, or repair them
	@$(LAB) up

lab-stop: ## remove the nodes; keep the cached root file systems
	@/usr/bin/python3 -m lab stop

lab-down: ## remove the nodes of all labs of this checkout and the cache: nothing stays
	@/usr/bin/python3 -m lab purge

##@ Tests
.PHONY: lint unit sanity test-fast faults faults-long simulator integration meshes meshes-long vm molecule labs bench bench-short test
lint: tools ## ruff, mypy, ansible-lint, yamllint, antsibull-docs
	@$(STAGE) "ruff check" ruff check --quiet .
	@$(STAGE) "ruff format" ruff format --check --quiet .
	@$(STAGE) "mypy" mypy --no-error-summary $(PYTHON_DIRS)
	@$(STAGE) "yamllint" yamllint --strict $$(git ls-files --cached --others --exclude-standard '*.yml' '*.yaml')
	@$(STAGE) "ansible-lint" ansible-lint --offline --profile production -q
	@$(STAGE) "antsibull-docs" antsibull-docs lint-collection-docs --plugin-docs .

unit: tools ## unit tests, but for those of `make faults` and `make simulator`
	@$(STAGE) "unit tests" .venv/bin/python -m pytest -q -n auto -m 'not faults and not simulator' tests/unit

sanity: tools ## ansible-test sanity
	@$(STAGE) "ansible-test sanity" scripts/sanity

# Each of the three has phases that use one processor alone.
test-fast: tools ## lint, unit and sanity side by side: all tests that need no lab (below three minutes)
	@$(MAKE) --jobs=3 --output-sync=target SIDE_BY_SIDE=1 lint unit sanity

# More of them at a time than processors: many of them wait.
faults: tools ## every step of a run fails or dies once: unit tests that take their time
	@$(STAGE) "fault tests" .venv/bin/python -m pytest -q --durations=12 -n 4 -m 'faults and not long' tests/unit

faults-long: tools ## those of them that wait for minutes; not in `make test`
	@$(STAGE) "long fault tests" .venv/bin/python -m pytest -q -n 2 -m 'faults and long' tests/unit

simulator: tools ## modules over the simulated NVML library, and that library's own tests
	@$(STAGE) "simulator tests" .venv/bin/python -m pytest -q -n auto -m simulator tests/unit

integration: tools ## tests on a lab of their own
	@$(STAGE) "integration tests" scripts/with-lab test .venv/bin/python -m pytest -q --durations=8 tests/integration

vm: vm-tools ## tests on virtual machines with kernels of their own
	@$(STAGE) "virtual machines" scripts/with-lab vm:vm .venv/bin/python -m pytest -q tests/vm

meshes: tools ## meshes of eight members and more, on a lab of their own, with traffic on them: K= for some
	@$(STAGE) "mesh tests" scripts/with-lab meshes:mesh .venv/bin/python -m pytest -q --durations=12 -m 'not long' tests/meshes $(if $(K),-k '$(K)')

meshes-long: tools ## what takes many minutes: secrets, runs that die half-way, wrong changes; not in `make test`: K= for some
	@$(STAGE) "long mesh tests" scripts/with-lab meshes:mesh .venv/bin/python -m pytest -q -m long tests/meshes $(if $(K),-k '$(K)')

molecule: vm-tools ## every scenario, on a lab of its own (vm: on virtual machines): SCENARIO= for one
	@$(STAGE) "molecule" scripts/with-lab molecule bash -ec 'trap "python -m lab stop --name molecule-vm" EXIT; for s in $(or $(SCENARIO),$(SCENARIOS)); do scripts/stage "molecule $$s" molecule test --scenario-name "$$s"; done'

# Each leaves a processor idle for much of its time; what both say comes when each is done.
labs: tools vm-tools ## integration and molecule side by side, on a lab each
	@$(MAKE) --jobs=2 --output-sync=target SIDE_BY_SIDE=1 integration molecule

bench: tools ## all benchmarks in full, on a lab of their own
	@$(STAGE) "benchmarks" scripts/with-lab bench .venv/bin/python -m benchmarks

bench-short: tools ## all benchmarks in short form, on a lab of their own
	@$(STAGE) "benchmarks, short" scripts/with-lab bench .venv/bin/python -m benchmarks --short

test: test-fast faults simulator meshes labs bench-short ## everything; the first failure stops

##@ Collection
.PHONY: build clean help
build: runtime ## the collection's archive, in .cache/build
	@mkdir -p .cache/build
	ansible-galaxy collection build --force --output-path .cache/build

clean: ## remove build output and the tools' caches (not .venv, not the lab)
	rm -rf .cache/build .cache/sanity .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -path ./.venv -prune -o -path ./.lab -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## this text
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: runtime lab-tools tools vm-tools
runtime:
	@scripts/bootstrap runtime
lab-tools:
	@scripts/bootstrap lab
tools:
	@scripts/bootstrap dev
vm-tools:
	@scripts/bootstrap vm
