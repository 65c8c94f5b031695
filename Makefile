# Two commands: `make demo` runs the main job, `make test` passes the tests. Each sets itself up in .venv once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: clean demo docs fix lint quick test
export OMP_NUM_THREADS := 1
# The theme is cared for until May 2027. Its successor, Zensical, reads mkdocs.yml but runs no hooks (0.1.1).
export NO_MKDOCS_2_WARNING := 1

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

demo: $(STAMP)
	$(BIN)/rscovlm demo --out demo

docs: $(STAMP)
	$(BIN)/mkdocs serve

fix: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict rscovlm tests

# Without a model: what most changes break first.
quick: lint
	$(BIN)/python -m pytest -q -n 2 -x tests/geometry tests/codec tests/metrics tests/records tests/tasks/test_one_home.py \
		tests/test_floors.py tests/test_import.py tests/test_docstrings.py

test: lint
	$(BIN)/mkdocs build --strict  # not --quiet, which hides what --strict counts
	$(BIN)/python -m pytest -q -n 2 -rs

clean:
	rm -rf $(VENV) demo site
