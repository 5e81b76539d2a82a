# Every target works on one stack; the default is the simulated homelab.  make help
STACK ?= sim
PYTHON ?= python3
AETHER = ./aether --stack $(STACK)

# Bytecode is kept whatever the caller's environment says: the SDKs are hundreds of modules.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.aether/cache/python

.DEFAULT_GOAL := help
.PHONY: help setup ready up preview refresh status down clean doctor test test-unit lint bench drift rollback reboot review fault topology image lab site

help: ## this list
	@echo "make TARGET [STACK=sim|sim-cloud|sim-staging|homelab|cloud|staging]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  \1\t/' | expand -t 14

# Root is asked for where the simulator is: by the commands, which wait for `ready`.
setup: ## the environment and the engine, without root; then `. ops/env.sh` for python, pulumi, sops and age
	@$(PYTHON) ops/setup.py --group sim --group ansible

ready:
	@$(PYTHON) ops/setup.py --stack $(STACK) --group sim --group ansible

up: ready ## provision and configure everything; run it again and nothing changes
	@$(AETHER) up $(ARGS)

preview: ready ## what `up` would change
	@$(AETHER) preview $(ARGS)

refresh: ready ## read the real state of every resource into the stack
	@$(AETHER) refresh $(ARGS)

status: ready ## every host and what is wrong with it [ARGS=--json|--watch|--serve|--export FILE]
	@$(AETHER) status $(ARGS)

down: ready ## destroy the stack (and stop the simulator)
	@$(AETHER) down $(ARGS)

drift: ready ## hosts that run something else than was deployed
	@$(AETHER) drift $(ARGS)

rollback: ready ## HOST=… back to the system before
	@$(AETHER) rollback $(HOST)

reboot: ready ## HOST=… reboot, and prove that it came back well
	@$(AETHER) reboot $(HOST)

review: ready ## the change as Markdown, for a merge request
	@$(AETHER) review $(ARGS)

site: ## the documentation as a site, in dist/site/index.html
	$(if $(wildcard mkdocs.yml),,$(error the site is made in a checkout of Aether; a fleet has the pages in docs/))
	@$(PYTHON) ops/setup.py --only environment --group sim --group ansible --group site
	@.venv/bin/python -m mkdocs build --quiet
	@echo "Open dist/site/index.html"

topology: ready ## a page with the picture of the fleet, in dist/topology.html
	@$(AETHER) topology

fault: ready ## HOST=… FAULT=… [OFF=1]: inject a fault into the simulator (FAULT=list lists them)
	@./aether sim fault $(if $(filter list,$(FAULT)),--list,$(HOST) $(FAULT) $(if $(OFF),--off))

image: ## HOST=… FORMAT=raw|iso|qcow|vm|proxmox|lxc|amazon: build an image into dist/ [ARGS=--plain]
	$(foreach name,HOST FORMAT,$(if $($(name)),,$(error $(name)=… is missing: make image HOST=laptop FORMAT=iso)))
	@$(PYTHON) ops/setup.py --only environment --group sim --group ansible
	@$(AETHER) image $(HOST) $(FORMAT) $(ARGS)

doctor: ## what is there, what is missing, what to do; with STACK=homelab also what that stack needs around it
	@$(PYTHON) ops/doctor.py
	@$(if $(filter sim%,$(STACK)),,$(AETHER) doctor)

test: ## every test
	@$(PYTHON) ops/setup.py --stack sim --tests --group sim --group ansible --group test
	@./aether test $(ARGS)

lab: ## a real virtual machine to deploy to by hand, until Ctrl-C (docs/lab.md)
	@$(PYTHON) ops/setup.py --only environment --tests --group sim --group ansible --group test
	@.venv/bin/python -m tests.lab $(ARGS)

test-unit: ## unit tests: mocks, packages from PyPI alone
	@$(PYTHON) ops/setup.py --only environment --group sim --group ansible --group test
	@.venv/bin/python -m pytest tests/unit packages/*/tests/unit $(ARGS)

lint: ## ruff, mypy, shellcheck
	@$(PYTHON) ops/setup.py --only environment --group sim --group ansible --group test
	@./aether lint

bench: ## speed, as ratios measured in one run [JSON=FILE]
	@$(PYTHON) ops/setup.py --stack sim --group sim --group ansible --group bench
	@./aether engine ensure --only bench
	@.venv/bin/python -m bench $(if $(JSON),--json $(JSON)) $(ARGS)

clean: down ## `down`, and remove everything that was made in the checkout
	@rm -rf .venv .aether dist
