# Every target sets up what it needs by itself (scripts/setup.sh) and is quick when that is done.
#
#   ARGS         more arguments for the command behind a target: make test ARGS="-k guard"
#   PYTHON       the interpreter under .venv (default /usr/bin/python3; 3.10 or 3.11)
#   TORCH_INDEX  a package index to take torch from, such as PyTorch's CPU wheels

SHELL := /bin/bash
PYTHON ?= /usr/bin/python3
TORCH_INDEX ?=
ARGS ?=
export PYTHON TORCH_INDEX

.DEFAULT_GOAL := help
.PHONY: help demo robot-demo test check lint format type law clean ros setup setup-dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: setup ## ten demonstrations to a skill in the twin; results in runs/demo/
	.venv/bin/handful demo $(ARGS)

robot-demo: ros ## the same skill over ROS: cameras, agent, guard, and the twin in the robot's place
	.venv/bin/handful robot-demo $(ARGS)

# By file, one worker a core: most of the tests over ROS wait for something.
test: setup-dev ## the tests
	.venv/bin/python -m pytest -n auto --dist loadfile --max-worker-restart 2 $(ARGS)

check: lint type law test ## everything a change must pass: ruff, mypy, the import law, the tests

lint: setup-dev ## ruff: rules and format
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

format: setup-dev ## let ruff mend what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

type: setup-dev ## mypy on src and sim
	.venv/bin/mypy

law: setup-dev ## who may import whom
	.venv/bin/python -m pytest -q tests/test_import_law.py

setup: ## .venv for running
	@scripts/setup.sh run

ros: ## .venv for a robot: ROS from apt, our messages, the camera's library
	@scripts/setup.sh ros

setup-dev: ## .venv for developing
	@scripts/setup.sh dev

clean: ## remove .venv, caches and build folders; runs/ stays
	rm -rf .venv .catkin .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist src/*.egg-info
	find src sim config tests benchmarks scripts \( -name __pycache__ -o -name '*.nb[ic]' \) -prune -exec rm -rf {} +
