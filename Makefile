# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1

.PHONY: docs demo test dev check contracts smoke speed stress package clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Grainscout needs Python >= 3.11; got " + sys.version.split()[0] + ". Say make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

dev: .venv/installed  ## create .venv with all packages

# A recorded grid of curves for the demo. Use your own: make demo GRID=my.3ds
GRID ?= $(wildcard ../shared/data/mit_scifidatasets/NanonisReader_STS_grid_lockin.3ds)

demo: .venv/installed  ## race five policies on simulated films and on a recorded grid
	$(BIN)/grainscout demo $(if $(GRID),--replay $(GRID))

test: .venv/installed  ## run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

# In separate environments under build/contracts. It lists the tests that were not possible, with reasons.
contracts: .venv/installed  ## test adapters and exports against packages that need an environment of their own
	$(BIN)/python tests/contracts.py $(if $(SECONDS),--seconds $(SECONDS))

smoke: .venv/installed  ## run the smallest campaign
	$(BIN)/grainscout bench smoke --out out/smoke

# Static tools read a built copy, because they cannot follow an editable installation. The microscope's PC runs Windows.
check: .venv/installed  ## run ruff, mypy (strict, also for Windows) and the layer rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/check build/lib
	$(BIN)/python -m pip install --quiet --no-deps --target build/check .
	MYPYPATH=build/check $(BIN)/mypy --cache-dir .mypy_cache -p grainscout
	MYPYPATH=build/check $(BIN)/mypy --cache-dir .mypy_cache/win32 --platform win32 -p grainscout
	cd build/check && PYTHONPATH=. ../../$(BIN)/lint-imports --config ../../pyproject.toml --no-cache

speed: .venv/installed  ## run the speed benchmarks
	$(BIN)/python -m pytest benchmarks/speed --benchmark-only

stress: .venv/installed  ## run the stress tests at the long sizes, for hours: STRESS="-k kill --scale 0.1"
	$(BIN)/python -m pytest tests/stress -m stress --size long -rP $(STRESS)

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

docs: .venv/installed-docs  ## build the manual and run its tutorials: out/manual/index.html
	rm -rf docs/generated out/manual
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -d out/doctrees docs out/manual
	$(BIN)/python docs/_ext/links.py out/manual

package: .venv/installed  ## build sdist and wheel, with the constraints that go with them
	rm -rf dist && $(BIN)/python -m build --outdir dist . && cp constraints.txt dist

clean:
	rm -rf .venv build dist out *.egg-info src/*.egg-info
