# Millrace: `make` alone lists what can be made. Every target takes ENV= (default lab).
# The tool environment .venv is made anew from pinned versions whenever requirements.txt or tools/pyproject.toml change.

.DEFAULT_GOAL := help
SHELL := /bin/bash
# Without --norc, a bash that is the first one under sshd (`ssh HOST make …`) reads its start-up files, which -u breaks.
.SHELLFLAGS := --norc -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

ENV ?= lab
ifeq ($(strip $(ENV)),)
$(error ENV is empty; leave it out for lab, or name an environment)
endif
PYTHON ?= python3
space := $(subst ,, )
# Mitogen and the search paths below split a path at these; the clone is the one thing that is easy to move.
ifneq ($(findstring $(space),$(CURDIR))$(findstring :,$(CURDIR)),)
$(error the path of this clone, $(CURDIR), has a space or a colon, which Mitogen and PYTHONPATH split: move the clone to a path without)
endif
# Named outright: Ansible takes no ansible.cfg by itself from a folder that everybody may write to.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Ansible wants a locale that exists (the first line is empty then) and is UTF-8.
ifneq ($(shell locale 2>&1 >/dev/null; locale charmap 2>&1),UTF-8)
export LC_ALL := C.UTF-8
endif
export ENV NODE ROLE JOBS SERVICE TOPIC DATABASE FROM LIMIT TAGS YES PURGE RECREATE REBUILD DATA TIER RELEASE WATCH ROUNDS SEED NAIVE PARTS ROWS
# What the caller wrote reaches the tools as it is: make would take CMD='echo $HOSTNAME' for a variable $H of its own. Recipes let the shell
# read it from the environment, so that quotes in it are harmless too.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(eval override $(name) := $$(value $(name)))$(eval export $(name))))
# The bootstrap and the long verbs start before .venv exists, so they need nothing but Python's standard library.
STDLIB := PYTHONPATH=tools/src PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m
MILLRACE := .venv/bin/millrace
PLAYBOOK := .venv/bin/ansible-playbook
TOOLS_HASH := $(shell cat requirements.txt tools/pyproject.toml | sha256sum | cut -c1-16)
TOOLS := .venv/.made-from-$(TOOLS_HASH)
# The one that the bootstrap finds too; looked for once, and only by what needs it.
TERRAFORM = $(eval TERRAFORM := $$(or $$(shell $(STDLIB) millrace.providers.terraform),$$(error see above)))$(TERRAFORM)
TERRAFORM_ENV := TF_DATA_DIR=$(CURDIR)/.cache/terraform TF_CLI_CONFIG_FILE= CHECKPOINT_DISABLE=1
SERVICES := $(wildcard services/*/*/src)
DECLARATIONS := $(wildcard services/*/application.yml)
# An application's tests on nodes are in a folder of its name.
TESTS_ON_NODES := tests/support tests/platform $(wildcard $(DECLARATIONS:services/%/application.yml=tests/%)) tests/chaos tests/bench tests/vms tests/bootstrap

##@ The platform
.PHONY: up bootstrap validate provision image deploy smoke
up: ## From a bare machine to live data: bootstrap, provision, deploy, smoke
	@$(STDLIB) millrace.verbs.phases up
bootstrap: ## Prepare this machine (says what it will change, then asks; YES=1 goes on)
	@$(STDLIB) millrace.machine.bootstrap
validate: tools ## Check topology and catalogue (before anything is contacted)
	@$(MILLRACE) validate
provision: bootstrap tools ## Make the nodes, or change them to what the topology says
	@$(MILLRACE) provision
image: bootstrap tools ## Make the nodes' image where it is missing, or no longer up to date
	@$(MILLRACE) image
deploy: tools ## Configure the nodes by the roles (LIMIT= and TAGS= narrow it)
	@$(MILLRACE) validate
	@$(MILLRACE) provisioned
	@$(MILLRACE) secrets ensure
	@$(PLAYBOOK) -i "inventories/$$ENV" ansible/playbooks/site.yml $${LIMIT:+--limit "$$LIMIT"} $${TAGS:+--tags "$$TAGS"}
smoke: tools ## Wait until every service is healthy and data flows
	@$(MILLRACE) smoke

##@ Everyday
.PHONY: status footprint ssh logs psql consume produce restart diff dev
status: tools ## Nodes, services, and the figures of each application (WATCH=10 repeats it)
	@$(MILLRACE) status
footprint: tools ## Memory (PSS: what is shared counts once) and processor time of each service, measured for SECONDS=60
	@$(MILLRACE) footprint $(SECONDS)
ssh: tools ## A shell on a node: NODE=kafka-1 (CMD='uptime' runs a command)
	@$(MILLRACE) ssh "$${NODE-}" $${CMD:+"$$CMD"}
logs: tools ## Follow a service's journal: SERVICE=kafka
	@$(MILLRACE) logs "$${SERVICE-}"
psql: tools ## psql on the database, or on one of several: DATABASE=
	@$(MILLRACE) psql
consume: tools ## Print a topic's messages: TOPIC= (without a name it lists them), FROM=beginning MAX=10
	@$(MILLRACE) consume "$${TOPIC-}"
produce: tools ## Send the lines of standard input to a topic: TOPIC=
	@$(MILLRACE) produce "$${TOPIC-}"
restart: tools ## Restart a service node by node: SERVICE=kafka
	@$(MILLRACE) restart "$${SERVICE-}"
diff: tools ## Show what a deploy would change (LIMIT= and TAGS= narrow it)
	@$(MILLRACE) diff
dev: tools ## Put the working tree of one of our services onto its node, for a debugger to attach: SERVICE=
	@$(MILLRACE) dev "$${SERVICE-}"

##@ Stop and remove
.PHONY: down start destroy clean
down: tools ## Stop the nodes and keep their data
	@$(MILLRACE) down
start: bootstrap tools ## Start the nodes again
	@$(MILLRACE) start
destroy: tools ## Say what goes, ask, remove nodes and network (keeps image, downloads, secrets; PURGE=1: no secrets)
	@$(MILLRACE) destroy
clean: ## Remove what was built in this clone (tool environment, linters' caches, reports)
	@rm -rf .venv .cache .ansible .mypy_cache .pytest_cache .ruff_cache .hypothesis reports
	@find . -name __pycache__ -prune -exec rm -rf {} + -o -name '*.egg-info' -prune -exec rm -rf {} +

##@ Tests
.PHONY: check check-lint check-types check-roles check-terraform check-unit test chaos bench test-libvirt test-bootstrap molecule
check: check-lint check-types check-terraform check-unit check-roles ## All that needs no node (`make -k check` goes on after a failure)
check-lint: tools
	@$(MILLRACE) validate
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/yamllint .
	git grep -lIE '^#!(/usr)?/bin/(env )?(ba)?sh' -- . ':!*.j2' | xargs .venv/bin/shellcheck
check-types: tools
	MYPYPATH=$(subst $(space),:,$(addprefix $(CURDIR)/,$(SERVICES) $(wildcard services/*/*/tests))) .venv/bin/mypy tools/src tests/unit
	cd tests/testinfra && ../../.venv/bin/mypy .
	@for tests in $(TESTS_ON_NODES); do echo "mypy $$tests"; \
	  (cd $$tests && MYPYPATH=$(subst $(space),:,$(addprefix $(CURDIR)/,$(SERVICES))) ../../.venv/bin/mypy .); done
	cd ansible && ../.venv/bin/mypy plugins/filter plugins/inventory plugins/modules plugins/strategy vault_password.py
	@for service in $(dir $(SERVICES)); do echo "mypy $$service"; \
	  MYPYPATH=$(subst $(space),:,$(addprefix $(CURDIR)/,$(SERVICES) $(wildcard services/*/*/tests))) .venv/bin/mypy "$${service}src" "$${service}tests"; done
check-roles: tools
	PATH="$(CURDIR)/.venv/bin:$$PATH" ansible-lint
check-terraform: tools
	$(TERRAFORM_ENV) $(TERRAFORM) fmt -check -recursive terraform
	.venv/bin/millrace check-terraform
check-unit: tools
	PYTHONPATH=tests/unit:tests/chaos:tests/bench:tests/vms:tests/bootstrap:tests/support:$(subst $(space),:,$(SERVICES)) .venv/bin/pytest --import-mode=importlib tests/unit \
	  $(wildcard services/*/*/tests tools/tests)
test: ## All of check, then the lab: up, a second up that changes nothing, tests on it
	@$(STDLIB) millrace.verbs.phases test
chaos: ## Faults while data flows, on disposable nodes: ROUNDS=3 SEED=1 (NAIVE=1: beside sinks that must fail)
	@$(STDLIB) millrace.model.lasting chaos
	@$(MAKE) tools
	@PYTHONPATH=tests/chaos:tests/support:$(subst $(space),:,$(SERVICES)) .venv/bin/python -m rounds
bench: ## Figures of the running lab, into reports/bench.json and docs/benchmarks.md: PARTS=a,b,c,d,e,f,g ROUNDS=5
	@$(STDLIB) millrace.model.lasting bench
	@$(MAKE) tools
	@BENCH_SECONDS=$(SECONDS) PYTHONPATH=tests/bench:tests/support:$(subst $(space),:,$(SERVICES)) .venv/bin/python -m bench
test-libvirt: tools ## One tier on virtual machines, from boot to destroy: TIER=timescaledb or kafka (up to an hour without KVM)
	@PYTHONPATH=tests/vms:tests/support .venv/bin/python -m vms
test-bootstrap: tools ## A stock Debian, in a VM, becomes the operator's machine: RELEASE=bookworm or trixie (hours without KVM)
	@PYTHONPATH=tests/bootstrap:tests/support .venv/bin/python -m first_day
molecule: ## Each role alone on throw-away containers, two at a time (JOBS=2), or one: ROLE=kafka
	@$(STDLIB) millrace.verbs.phases molecule

##@ Tools
.PHONY: help tools role-docs providers locks
tools: $(TOOLS) ## The pinned tool environment .venv
$(TOOLS):
	@$(STDLIB) millrace.machine.bootstrap --tools
	@echo "making the tool environment .venv (pinned in requirements.txt)"
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt -e tools
	@rm -f .venv/.made-from-*
	@touch $@
role-docs: tools ## Write the roles' README.md from their argument specifications
	@$(MILLRACE) role-docs
providers: tools ## Fetch Terraform's providers, or build them with Go where their registry can't be reached
	@$(MILLRACE) providers
locks: tools ## Write the locks of jars and Python packages for the versions of ansible/versions.yml
	@$(MILLRACE) locks
help: ## This list
	@awk -f tools/targets.awk Makefile $(DECLARATIONS)
# Any other target is a command that an application declares. A wrong name is told before .venv is made for it.
.DEFAULT:
	@[ -e $(TOOLS) ] || { awk -v wanted='$@' -f tools/targets.awk Makefile $(DECLARATIONS) && $(MAKE) tools; }
	@$(MILLRACE) run '$@'
# With -B, make would otherwise look for a rule to remake it.
Makefile: ;
