# Two commands: `make book` and `make test`. Everything else is here: `make help`.
SETTINGS := PROFILE ARCHS DATA OTHERS PARTS STUDY ENGINE NAMES FROM ALL KILLS SEED RUNS BUILD CORES VENV BASE_PYTHON GOMP_SPINCOUNT
# A setting stands in the call. What the shell exports under such a name is another tool's: it is said, and not taken.
EXPORTED := $(foreach name,$(filter-out GOMP_SPINCOUNT,$(SETTINGS)),$(if $(filter environment,$(origin $(name))),$(name)))
ifeq ($(MAKELEVEL),0)
$(foreach name,$(EXPORTED),$(if $(value $(name)),$(warning $(name) of the environment is not taken; write it in the call: \
make $(or $(firstword $(MAKECMDGOALS)),help) $(name)=...)))
endif
$(foreach name,$(EXPORTED),$(eval undefine $(name)))
VENV ?= .venv
BASE_PYTHON ?=
# of the book: quick; of a study: what its entries say
PROFILE ?=
ARCHS ?= resnet18 resnet101
DATA ?=
OTHERS ?=
PARTS ?= recorded copy
STUDY ?= reference
ENGINE ?= local
NAMES ?=
FROM ?=
ALL ?=
KILLS ?= 50
SEED ?=
# What runs make lies in data/runs, or here:
RUNS ?=
# All that is made lies in this folder, or in this one: the checkout is only read.
BUILD ?=
# one step a core, as far as the memory goes
CORES ?=
# Threads that wait for each other spin only briefly: on a busy machine two spinning threads are slower than one.
# `make bench` has the machine to itself and keeps the library's own choice, for us and for those we compare with.
GOMP_SPINCOUNT ?= 1000
# The code is this folder's, whatever PYTHONPATH leads to.
ifneq ($(wildcard src/helpers),)
export PYTHONPATH := $(CURDIR)/src
endif
# Text is UTF-8, whatever the locale says.
export PYTHONUTF8 = 1

# Make takes any name=value in silence; a misspelt one would run something else than was asked for.
SPACE := $() $()
TAB := $()	$()
define NEWLINE


endef
ONE_LINE := $(subst $(NEWLINE),_,$(subst \$(TAB),_,$(subst \$(SPACE),_,$(MAKEOVERRIDES))))
GIVEN := $(foreach word,$(ONE_LINE),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
ifneq ($(filter-out $(SETTINGS),$(GIVEN)),)
$(error $(firstword $(filter-out $(SETTINGS),$(GIVEN))) is not a setting; choose from $(SETTINGS))
endif
# A value is text, never code: make would run what stands in $(shell ...), a shell what stands in backticks. So make
# does not expand it, and a recipe finds it in the environment, where no shell reads it.
$(foreach name,$(SETTINGS),$(eval override $(name) := $$(value $(name))))
export $(SETTINGS)
ifneq ($(words $(VENV)),1)
$(error VENV="$(VENV)" is not possible; name a folder without spaces)
endif
PYTHON := "$$VENV"/bin/python

.PHONY: book pdf test test-fast test-faults test-slurm help links data lab pairs study plan record outcomes merge verify prune bench scale lock lint check clean browser
.DEFAULT_GOAL := help

help: ## this list
	@echo "make TARGET [PROFILE=smoke|quick|thesis] [ARCHS=\"resnet18 resnet101\"] [DATA=folder] [OTHERS=\"n_mfcc=20 ...\"]"
	@echo "            [PARTS=recorded|copy] [STUDY=reference] [ENGINE=local|slurm] [RUNS=folder] [BUILD=folder] [CORES=n]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s%s\n", $$1, $$2 }' Makefile

book: $(VENV)/.installed ## run the study, build the site, print its path
	@$(PYTHON) -m helpers.book build --profile="$${PROFILE:-quick}" --archs="$$ARCHS" --data="$$DATA" \
		--others="$$OTHERS" --parts="$$PARTS" --cores="$$CORES"

pdf: $(VENV)/.installed ## print the built book with Chromium, print the path of the PDF
	@$(PYTHON) -m helpers.book pdf

test: $(VENV)/.installed browser check ## everything CI checks: lint, unit, notebooks, a smoke study, the pages in a browser
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --dist worksteal tests/unit tests/notebooks
	@$(PYTHON) -m pytest -n 3 --dist loadfile tests/study tests/book

test-fast: $(VENV)/.installed ## the unit tests that take less than two minutes in all
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --dist worksteal tests/unit tests/notebooks -m "not slow"

check: $(VENV)/.installed ## lint, format, types and the floors of the rooms, without changing a file
	@$(PYTHON) -m ruff check . && $(PYTHON) -m ruff format --check . && $(PYTHON) -m mypy \
		&& $(PYTHON) -c 'from importlinter.cli import lint_imports_command as check; check()'
	@[ ! -x "$$VENV"/bin/zizmor ] || "$$VENV"/bin/zizmor --offline --quiet .github/workflows
	@[ ! -x "$$VENV"/bin/actionlint ] || "$$VENV"/bin/actionlint

links: $(VENV)/.installed ## after `make book`: ask whether what its pages link to is still there
	@$(PYTHON) -c 'from jupyter_book.cli.main import main; main()' build . --path-output _build/links \
		--toc _build/following/toc.yml --config _build/following/config.yml --builder linkcheck

data: $(VENV)/.installed ## download UrbanSound8K (6 GB) to data/UrbanSound8K and verify it; resumes
	@$(PYTHON) -m helpers.book data

lab: $(VENV)/.installed pairs ## open the chapters in JupyterLab
	@$(PYTHON) -m jupyterlab --config=config/lab/server.py

pairs: $(VENV)/.installed ## write the .ipynb twins of notebooks/*.md
	@$(PYTHON) -m helpers.book pairs

bench: $(VENV)/.installed ## time the engine against stock Quantus and torchxai side by side; _build/bench.json
	@env -u GOMP_SPINCOUNT $(PYTHON) benchmarks/bench.py

scale: $(VENV)/.installed ## time and memory of each step over clips, frames, rows, depth and workers; _build/scale.json
	@$(PYTHON) -m benchmarks.scale

study: $(VENV)/.installed ## make what the runs of STUDY need, on DATA's recordings, here or with ENGINE=slurm (hours; resumes)
	@$(PYTHON) -m helpers.book study --study="$$STUDY" --data="$$DATA" --profile="$$PROFILE" \
		--engine="$$ENGINE" --cores="$$CORES"

plan: $(VENV)/.installed ## list the jobs of STUDY and how long they will take
	@$(PYTHON) -m helpers.book plan --study="$$STUDY" --data="$$DATA" --profile="$$PROFILE"

record: $(VENV)/.installed ## write data/recorded from the runs of STUDY on DATA and from _build/bench.json
	@$(PYTHON) -m helpers.book record --study="$$STUDY" --data="$$DATA"

outcomes: $(VENV)/.installed ## write what the cells "change this" say with their other values, from data/recorded alone
	@$(PYTHON) -m helpers.book outcomes

merge: $(VENV)/.installed ## take over what others made of the same study: FROM=their runs, DATA=your recordings
	@$(PYTHON) -m helpers.book merge --data="$$DATA" -- "$$FROM"

verify: $(VENV)/.installed ## make recorded results again and compare (ALL=1: every clip; DATA: a whole STUDY anew)
	@$(PYTHON) -m helpers.book verify $${ALL:+--all} --study="$$STUDY" --data="$$DATA"

test-faults: $(VENV)/.installed ## kill the study KILLS times at random moments; what comes out is the same
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -s tests/faults

test-slurm: $(VENV)/.installed ## a smoke study through a Slurm of one machine, started here (root on Debian; else skipped)
	@$(PYTHON) -m pytest tests/slurm

prune: $(VENV)/.installed ## list what runs made by size, and remove NAMES="..." of it
	@$(PYTHON) -m helpers.book prune --names="$$NAMES"

lint: $(VENV)/.installed ## mend what ruff can, name what it can't
	@$(PYTHON) -m ruff check --fix . ; $(PYTHON) -m ruff format .

lock: $(VENV)/.installed ## solve pyproject.toml anew into requirements.lock
	@$(PYTHON) -m uv pip compile pyproject.toml --all-extras --universal --quiet --no-header \
		--python-version 3.11.4 --no-emit-index-url --no-annotate --generate-hashes --output-file requirements.lock

clean: ## remove the site, executed chapters and run results (not data/UrbanSound8K)
	@rm -rf _build book/executed .snakemake data/runs data/again data/synthetic data/digests.json

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
			&& apt-get update -q >/dev/null && apt-get install -qy --no-install-recommends chromium >/dev/null; } \
		|| echo "no Chromium or Chrome found and none could be installed: the tests of the built pages will be skipped"

$(VENV)/bin/python:
	@for python in "$${BASE_PYTHON:-python3.11}" python3.12 python3.13 python3; do \
	command -v "$$python" >/dev/null && break; \
	[ -z "$$BASE_PYTHON" ] || { echo "BASE_PYTHON=$$BASE_PYTHON is no program that can be run; name a Python" >&2; exit 1; }; done; \
	"$$python" -c 'import sys; sys.exit(0 if (3, 11, 4) <= sys.version_info < (3, 14) else "Python 3.11.4 to 3.13 is needed, " \
		+ sys.version.split()[0] + " was found; name another with BASE_PYTHON=path")' && "$$python" -m venv "$$VENV"

# One environment for everything: what the book needs and what its tests need differ by a few packages.
$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "installing the environment into $$VENV (several GB, some minutes)"
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m ensurepip >/dev/null 2>&1 || { echo "$$VENV has no pip, and none \
	could be made: remove $$VENV; on Debian or Ubuntu install python3-venv too"; exit 1; }
	@$(PYTHON) -m pip install --quiet --require-hashes --requirement requirements.lock
	@# the way from the packages to the code: a copy of this folder, environment included, runs its own
	@$(PYTHON) -c 'import os, sysconfig; packages = sysconfig.get_path("purelib"); \
		open(os.path.join(packages, "helpers.pth"), "w").write(os.path.relpath("src", packages) + "\n")'
	@touch "$$VENV/.installed"
