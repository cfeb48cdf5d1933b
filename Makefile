# make demo       a dozen synthetic radiographs, cleaned, with an audit page         (.venv, no torch)
# make benchmark  synthetic radiographs of three body parts, judged; fine-tuning for a new site  (.venv with torch)
# make benchmark-core  the same without the fine-tuning                              (.venv, no torch)
# make test       all but what takes longest, training included                     (.venv with torch)
# make test-long  what `make test` leaves out: whole trainings, tutorials that train (.venv with torch)
# make test-core  what needs no torch                                                (.venv-core)
# make lint       ruff, the import layers and the types                              (.venv with torch)
#
# Needs Python 3.11+ and, from the system, venv and Tesseract; tools/prepare-system installs those two where it may.
# The test targets also ask for DCMTK, dicom3tools, Orthanc and Chromium, and go on without them: the tests that need them are skipped.
# The tests run in three processes, a file of them in one, since a fifth of their time is waiting; SEVERAL= runs all in one.
# PYTHON=python3.12 chooses the interpreter; ARGS="-k safety" goes to pytest, ARGS="--images 5" to the benchmark.

PYTHON ?= python3
VENV := .venv
CORE := .venv-core
SEVERAL := -n 3 --dist loadfile --no-loadscope-reorder
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Some containers forbid Python to keep what it compiled. uv compiles nothing at the installation: every process would compile torch and
# all else anew, 2 to 5 s each.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo benchmark benchmark-core test test-long test-core lint clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	$(VENV)/bin/markerremover demo demo

benchmark: $(VENV)/.test
	$(VENV)/bin/markerremover benchmark benchmark --finetune $(ARGS)

benchmark-core: $(VENV)/.core
	$(VENV)/bin/markerremover benchmark benchmark $(ARGS)

test: $(VENV)/.test
	tools/prepare-system $(PYTHON) readers
	$(VENV)/bin/python -m pytest -m "not long" $(SEVERAL) $(ARGS)

test-long: $(VENV)/.test
	tools/prepare-system $(PYTHON) readers
	$(VENV)/bin/python -m pytest -m long $(SEVERAL) $(ARGS)

test-core: $(CORE)/.test
	tools/prepare-system $(PYTHON) readers
	$(CORE)/bin/python -m pytest -m "not train and not long" $(SEVERAL) $(ARGS)

lint: $(VENV)/.lint
	$(VENV)/bin/ruff check markerremover tests eval tools
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) $(CORE) demo benchmark benchmark.json

$(VENV)/bin/python $(CORE)/bin/python:
	tools/prepare-system $(PYTHON)
	$(PYTHON) -m venv $(@D)/..

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --editable .
	touch $@

$(CORE)/.test: pyproject.toml | $(CORE)/bin/python
	$(CORE)/bin/python -m pip install --quiet --editable ".[test]"
	touch $@

# uv, not pip: it finds a torch and a torchvision that belong together (pip, given several sources of packages, can pick
# a pair that does not import), and it heeds tool.uv in pyproject.toml, which keeps out the OpenCV build that needs libGL.
$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet uv
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --editable ".[train,test]"
	touch $@ $(VENV)/.core

$(VENV)/.lint: pyproject.toml $(VENV)/.test
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --editable ".[lint]"
	touch $@
