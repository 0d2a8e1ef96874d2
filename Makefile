# Two commands: `make demo` runs the main job, `make test` everything that can fail.
# Both make their own environments from the hashed locks in deploy/locks.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
DEMO_ARGS ?=
TEST_ARGS ?=
INSTALL = deploy/locks/install.py

.PHONY: help demo up test chromium locks protos settings bench soak soak-edge drill-critical fuzz-imaging fuzz-results train-nodules train-fractures train-haemorrhage train-pathology bench-slide clean

help:
	@echo 'make demo            run the mesh and send the sample patient through it'
	@echo '                     (DEMO_ARGS=--exit ends by itself, DEMO_ARGS="--language en" …)'
	@echo 'make up              run the mesh until Ctrl-C, keeping its state in .dxmesh'
	@echo 'make test            format, lint, types, import rules, protos and every test'
	@echo 'make bench           side-by-side benchmarks, written to benchmarks/results.md'
	@echo 'make soak            the long kill storm (SOAK_ARGS="minutes seed")'
	@echo 'make drill-critical  kills services while critical results come; counts notices (DRILL_ARGS="results seed")'
	@echo 'make soak-edge       100,000 mixed requests against one gateway, memory watched'
	@echo 'make fuzz-imaging    10,000 spoilt image files, none may crash or hang the reading'
	@echo 'make fuzz-results    10,000 spoilt HL7 v2 messages and CSV files, no result may be lost or bent'
	@echo 'make train-nodules   reproduce the nodule models'
	@echo 'make train-fractures reproduce the fracture model'
	@echo 'make train-haemorrhage  cross-validate and reproduce the haemorrhage model'
	@echo 'make train-pathology reproduce the pathology models   make bench-slide  a slide of 100,000 x 100,000'
	@echo 'make locks           resolve the locks anew     make protos    regenerate protos/gen'
	@echo 'make settings        write the pages of docs/ that come from the code, and the schema of the chart'
	@echo 'make clean           remove environments'

demo: .venv/ready .venv-triton/tried
	@.venv/bin/python -m services.cli demo $(DEMO_ARGS)

up: .venv/ready .venv-triton/tried
	@.venv/bin/python -m services.cli up

test: .venv-tox/ready .venv-triton/tried chromium
	.venv-tox/bin/python -m tox run -q -e test -- $(TEST_ARGS)

.venv/ready: deploy/locks/all.txt pyproject.toml
	@$(call need_python)
	@echo 'making .venv …'
	@test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	@.venv/bin/python $(INSTALL) -r deploy/locks/all.txt
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv-tox/ready: deploy/locks/tox.txt
	@$(call need_python)
	@test -x .venv-tox/bin/python || "$(PYTHON)" -m venv .venv-tox
	@.venv-tox/bin/python $(INSTALL) -r deploy/locks/tox.txt
	@touch $@

# Triton's wheel exists for Linux x86-64 alone, and needs an older numpy than the services.
# Without it ONNX Runtime scores in process, so a failure here is said, not fatal.
.venv-triton/tried: deploy/locks/triton.txt
	@$(call need_python)
	@echo 'making .venv-triton …'
	@test -x .venv-triton/bin/python || "$(PYTHON)" -m venv .venv-triton
	@.venv-triton/bin/python $(INSTALL) --only-binary=:all: -r deploy/locks/triton.txt \
		|| echo 'no Triton wheel for this machine: ONNX Runtime will score in process'
	@touch $@

# The browser tests need Chromium; they skip, and say so, where it cannot be had.
chromium:
	@command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo 'installing Chromium …'; \
		apt-get update -qq >/dev/null 2>&1; \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium fonts-noto-cjk >/dev/null 2>&1 || echo 'Chromium could not be installed'; \
	else echo 'Chromium is not installed: browser tests will be skipped'; fi

# Locks hold hashes and no registry's address. One per service, for its image; `all` for a
# laptop; `test`, `benchmark` and `tox` for development; `triton` for its own environment.
SERVICES = gateway ingest anonymization consent imaging labs nlp reporting
COMPILE = .venv-locks/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

locks:
	@$(call need_python)
	@test -x .venv-locks/bin/uv || { "$(PYTHON)" -m venv .venv-locks && .venv-locks/bin/python -m pip install -q uv; }
	@for extra in $(SERVICES) all test benchmark; do \
		echo "$$extra"; $(COMPILE) pyproject.toml --extra "$$extra" -o "deploy/locks/$$extra.txt" || exit 1; done
	@for name in tox triton uv medspacy; do \
		echo "$$name"; $(COMPILE) "deploy/locks/$$name.in" -o "deploy/locks/$$name.txt" || exit 1; done

# What developers run by hand, in the environment of the tests.
TOOLS = PYTHONPATH=.:protos/gen .tox/test/bin/python
.tox/test/ready: .venv-tox/ready deploy/locks/test.txt
	@.venv-tox/bin/python -m tox run -q -e test --notest
	@touch $@

protos: .tox/test/ready
	@$(TOOLS) protos/generate.py

settings: .tox/test/ready
	@$(TOOLS) docs/make_settings.py
	@$(TOOLS) docs/make_capabilities.py
	@$(TOOLS) docs/make_profiles.py
	@$(TOOLS) docs/make_rules.py
	@$(TOOLS) docs/make_scores.py
	@$(TOOLS) docs/make_suggestions.py
	@$(TOOLS) docs/make_unit_table.py
	@$(TOOLS) charts/make_schema.py

soak: .tox/test/ready .venv-triton/tried
	@$(TOOLS) -m tests.flow.soak $(SOAK_ARGS)

# Two minutes; ends with 1 when a notice is lost, doubled or behind its report.
drill-critical: .tox/test/ready .venv-triton/tried
	@$(TOOLS) -m tests.flow.critical_drill $(DRILL_ARGS)

# 10,000 spoilt files against the understanding of series (FUZZ_ARGS="cases seed").
fuzz-imaging: .tox/test/ready
	@$(TOOLS) -W ignore -m tests.imaging.series_fuzz $(FUZZ_ARGS)

# 10,000 made and spoilt HL7 v2 messages and CSV files of results (FUZZ_ARGS="cases seed").
fuzz-results: .tox/test/ready
	@$(TOOLS) -m tests.ingest.results_fuzz $(FUZZ_ARGS)

soak-edge: .tox/test/ready
	@$(TOOLS) -m tests.edge.soak $(SOAK_ARGS)

.venv-benchmark/ready: deploy/locks/benchmark.txt
	@$(call need_python)
	@test -x .venv-benchmark/bin/python || "$(PYTHON)" -m venv .venv-benchmark
	@.venv-benchmark/bin/python $(INSTALL) -r deploy/locks/benchmark.txt
	@touch $@

# medSpaCy, beside which notes are measured, needs an older spaCy and numpy.
.venv-medspacy/ready: deploy/locks/medspacy.txt
	@$(call need_python)
	@test -x .venv-medspacy/bin/python || "$(PYTHON)" -m venv .venv-medspacy
	@.venv-medspacy/bin/python $(INSTALL) -r deploy/locks/medspacy.txt
	@touch $@

bench: .venv-benchmark/ready .venv-triton/tried .venv-medspacy/ready
	@PYTHONPATH=.:protos/gen .venv-benchmark/bin/python -m benchmarks $(BENCH_ARGS)

# Trains with PyTorch in an environment of its own, then measures the service on a whole CT.
TRAINING_DATA ?= ../shared/data/imaging
NODULES_WORK ?= .venv-training/nodules
train-nodules: .venv/ready
	@test -x .venv-training/bin/python || "$(PYTHON)" -m venv .venv-training
	@.venv-training/bin/python -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
	@.venv-training/bin/python -m training.nodules.train --data "$(TRAINING_DATA)" --work "$(NODULES_WORK)"
	@.venv-training/bin/python -m training.nodules.evaluate --data "$(TRAINING_DATA)" --work "$(NODULES_WORK)"
	@OMP_NUM_THREADS=1 .venv/bin/python -m training.nodules.ct --data "$(TRAINING_DATA)"
	@.venv/bin/python -m training.nodules.page

# About 85 minutes of one core.
FRACTURES_WORK ?= .venv-training/fractures
train-fractures:
	@$(call need_python)
	@test -x .venv-training/bin/python || "$(PYTHON)" -m venv .venv-training
	@.venv-training/bin/python -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
	@rm -f "$(FRACTURES_WORK)/checkpoint.pt"
	@.venv-training/bin/python -m training.fractures.train --data "$(TRAINING_DATA)" --work "$(FRACTURES_WORK)"
	@.venv-training/bin/python -m training.fractures.evaluate --data "$(TRAINING_DATA)" --work "$(FRACTURES_WORK)"

HAEMORRHAGE_WORK ?= .venv-training/haemorrhage
train-haemorrhage: .venv/ready
	@test -x .venv-training/bin/python || "$(PYTHON)" -m venv .venv-training
	@.venv-training/bin/python -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
	@.venv-training/bin/python -m training.haemorrhage.train --data "$(TRAINING_DATA)" --work "$(HAEMORRHAGE_WORK)"
	@OMP_NUM_THREADS=1 .venv/bin/python -m training.haemorrhage.evaluate --data "$(TRAINING_DATA)" --work "$(HAEMORRHAGE_WORK)"

# About 35 minutes of one core; what was made on the way stays in the folder and is used again.
PATHOLOGY_WORK ?= .venv-training/pathology
train-pathology: .venv/ready
	@test -x .venv-training/bin/python || "$(PYTHON)" -m venv .venv-training
	@.venv-training/bin/python -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
	@mkdir -p "$(PATHOLOGY_WORK)"
	@PYTHONPATH=.:protos/gen .venv-training/bin/python -m training.pathology.train --data "$(TRAINING_DATA)" --work "$(PATHOLOGY_WORK)"
	@PYTHONPATH=.:protos/gen .venv-training/bin/python -m training.pathology.gpu --pack --data "$(TRAINING_DATA)" --work "$(PATHOLOGY_WORK)" --archive "$(PATHOLOGY_WORK)/archive.npz"
	@PYTHONPATH=.:protos/gen .venv-training/bin/python -m training.pathology.gpu --archive "$(PATHOLOGY_WORK)/archive.npz" --work "$(PATHOLOGY_WORK)" \
		&& PYTHONPATH=.:protos/gen .venv-training/bin/python -m training.pathology.gpu --export --data "$(TRAINING_DATA)" --work "$(PATHOLOGY_WORK)" \
		|| echo 'no GPU: the network of the CPU is measured'
	@PYTHONPATH=.:protos/gen .venv-training/bin/python -m training.pathology.evaluate --data "$(TRAINING_DATA)"
	@PYTHONPATH=.:protos/gen .venv-training/bin/python -m training.pathology.page

# A slide of 100,000 x 100,000 pixels, stopped half-way and taken up again.
bench-slide: .tox/test/ready
	@$(TOOLS) -m benchmarks.pathology_slide $(BENCH_ARGS)

clean:
	rm -rf .venv .venv-tox .venv-triton .venv-training .venv-benchmark .venv-medspacy .venv-locks .tox .dxmesh-demo

define need_python
test -n "$(PYTHON)" || { echo 'Python 3.11 or newer with venv is needed (Debian: apt-get install python3-venv)'; exit 1; }
endef
