# `make demo` and `make test` run exactly the two lines of README.md; a test compares them.
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test check format faults docs man words

help:  ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo:  ## Install and count the example photos
	python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/demeter process examples

test:  ## Install for development and run the tests
	python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/python -m pytest -n 2 --dist loadfile

check:  ## Lint, formatting, types, import arrows (after make test)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p demeter_cli -p db -p pipeline
	$(BIN)/lint-imports

format:  ## Put the code into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

faults:  ## Hurt it in every way we know, and see that nothing is lost (an hour; ARGS="--only kill --times 5")
	$(BIN)/python -m tools.faults $(ARGS)

docs:  ## Write docs/cli.md anew from the commands
	$(BIN)/python tools/make_cli_docs.py

man:  ## Write man pages into build/man
	$(BIN)/python tools/make_man_pages.py

words:  ## Gather the texts that people read; say which lack Spanish
	$(BIN)/python tools/make_translations.py
