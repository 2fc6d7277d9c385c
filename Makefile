PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := recipes,hybrid,report,demo,cuda,deploy,docs,test

.PHONY: setup test web oldest exports plain kernels speechbrain findings \
	corpus demo compare docs gpu lint clean

setup: $(STAMP)

# uv installs torch's 5 GB in seconds; it is itself installed with pip. Only if
# told to does it compile them, without which every process of the tests would
# where Python may write none of it (PYTHONDONTWRITEBYTECODE).
UV := python -m uv pip install --quiet --compile-bytecode --python

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/$(UV) $(BIN)/python \
		--constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

# Two processes share the cores: an idle OpenMP thread must not spin on one that
# the other needs, which made a training in the tests take twice as long.
test oldest kernels: export OMP_WAIT_POLICY = passive

test: $(STAMP) lint
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

# Without these `make test` skips the page in examples/web: the runtime that the
# page loads, and a browser, where there is none Debian's.
web:
	npm install --prefix examples/web
	command -v chromium || command -v google-chrome || \
		{ apt-get update && \
		apt-get install --yes --no-install-recommends chromium; }

# The layers and the operator on the lower bounds in setup.cfg, in an
# environment of its own. torchaudio loads beside torch's own release only.
# An environment with torch takes 6 GB of disk: this one, with what uv keeps to
# link it from, and `plain`'s go once they have served.
OLDEST := build/oldest
CORE := tests/layers tests/lobe tests/products tests/scan tests/deploy/test_streaming.py \
	tests/test_installed.py tests/test_pytorch_kaldi.py tests/test_structure.py
CORE_BACKENDS := test_auto.py test_backends.py test_failures.py \
	test_loading.py numba/test_compiling.py numba/cpu/test_target.py

# Another tree that PYTHONPATH names would be tested instead.
oldest exports plain: export PYTHONPATH =

oldest: $(STAMP)
	rm -rf $(OLDEST)
	$(PYTHON) -m venv $(OLDEST)
	$(BIN)/$(UV) $(OLDEST)/bin/python --cache-dir $(OLDEST)/cache \
		--resolution lowest-direct --editable . torchaudio==2.7.1
	$(BIN)/$(UV) $(OLDEST)/bin/python \
		pytest pytest-xdist hypothesis
	$(OLDEST)/bin/python -m pytest --numprocesses 2 $(CORE) \
		$(CORE_BACKENDS:%=tests/backends/%)
	rm -rf $(OLDEST)

# The slow ways out of Python: Inductor's compiler, a C++ program, and
# ExecuTorch, whose many packages are installed beside, not into, the others.
EXPORTS := build/exports

exports: $(STAMP)
	rm -rf $(EXPORTS)
	$(PYTHON) -m venv $(EXPORTS)
	$(BIN)/$(UV) $(EXPORTS)/bin/python --constraint constraints.txt \
		--editable '.[deploy,test]' executorch==1.5.1 openvino==2026.4.1
	LIGRU_EXPORTS=1 $(EXPORTS)/bin/python -m pytest \
		tests/deploy/test_portable.py tests/deploy/test_onnx.py

# What a user installs today, with pip and without constraints: the wheel and
# its data, used as README does, from a folder where nothing else is found.
PLAIN := $(CURDIR)/build/plain
INSTALLED = $(PLAIN)/lib/*/site-packages/speechbrain_ligru_fast

plain:
	rm -rf $(PLAIN) build/lib
	$(PYTHON) -m venv $(PLAIN)
	$(PLAIN)/bin/python -m pip install --quiet .
	sed -n '/^```python$$/,/^```$$/{/^```$$/q;/^```/!p;}' README.md \
		> $(PLAIN)/example.py
	cd $(PLAIN) && bin/python example.py
	cd $(PLAIN) && bin/python -m speechbrain_ligru_fast
	ls $(INSTALLED)/backends/cuda/kernels/*.cu*
	rm -rf $(PLAIN)

# All CUDA kernels for all architectures; `test` compiles one of each kind.
kernels: $(STAMP)
	LIGRU_ALL_KERNELS=1 $(BIN)/python -m pytest --numprocesses 2 \
		--dist worksteal tests/backends/cuda/test_build.py

# SpeechBrain's own recipes and tests with our layers. Only its repository has
# them, which pip does not install: not for machines that reach no more.
SPEECHBRAIN ?= $(CURDIR)/build/speechbrain

$(SPEECHBRAIN):
	git clone --quiet --depth 1 --branch v$$($(BIN)/python -c \
		"from importlib.metadata import version; print(version('speechbrain'))") \
		https://github.com/speechbrain/speechbrain $@

speechbrain: $(STAMP) $(SPEECHBRAIN)
	SPEECHBRAIN_SOURCE=$(SPEECHBRAIN) $(BIN)/python -m pytest \
		tests/lobe/test_speechbrain_names_source.py

# What public packages do that one would not guess; see findings/README.md.
findings:
	PYTHON=$(PYTHON) bash findings/run.sh

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site in build/docs, from the Markdown and the docstrings: a broken link
# fails.
docs: $(STAMP)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going \
		-c docs . build/docs

# The demo: a synthetic corpus in TIMIT's layout, then the same recipe with
# one key changed each time. A second call trains nothing that is trained: it
# tests again and appends the rows.
DEMO = $(CURDIR)/build/demo-$(DEMO_MINUTES)-minutes
DEMO_MINUTES ?= 6
DEMO_SYSTEMS := speechbrain_ligru_fast.LiGRU speechbrain.nnet.RNN.LiGRU \
	speechbrain.nnet.RNN.LSTM

corpus: $(STAMP)
	$(BIN)/python -m tools.demo_corpus \
		--out $(DEMO)/corpus --minutes $(DEMO_MINUTES) --seed 0

demo: corpus
	cd recipes/TIMIT && for system in $(DEMO_SYSTEMS); do \
		$(abspath $(BIN))/python train.py ../../hparams/demo/timit.yaml \
			--data_folder $(DEMO)/corpus/timit \
			--output_folder $(DEMO)/$$system \
			--results_csv $(DEMO)/results.csv \
			--rnn_class="!name:$$system" || exit 1; \
	done
	$(BIN)/python -m speechbrain_ligru_fast.asr.report $(DEMO)/results.csv

# Each layer with several seeds (SpeechBrain's own, slow and equal, with one),
# then a table and report.html in $(COMPARE). Run it again to go on.
COMPARE = $(CURDIR)/build/compare-$(DEMO_MINUTES)-minutes
COMPARE_SEEDS ?= 1 2
COMPARE_EPOCHS ?= 12
COMPARE_SYSTEMS ?= LiGRU SLiGRU LSTM GRU
COMPARE_ONE_SEED ?= stock-LiGRU-jit
COMPARE_RUN = $(BIN)/python -m benchmarks.recipes \
	recipes/TIMIT hparams/demo/timit.yaml --device cpu \
	--data_folder $(DEMO)/corpus/timit --out $(COMPARE) \
	--number_of_epochs $(COMPARE_EPOCHS)

compare: corpus
	$(COMPARE_RUN) --seeds $(COMPARE_SEEDS) --systems $(COMPARE_SYSTEMS)
	$(COMPARE_RUN) --seeds $(firstword $(COMPARE_SEEDS)) \
		--systems $(COMPARE_ONE_SEED)

# On a machine with a GPU: verify, then measure. GPU_FLAGS=--dry-run without.
GPU_OUT ?= $(CURDIR)/build/gpu
GPU_FLAGS ?=

gpu: $(STAMP)
	$(BIN)/python -m benchmarks.gpu --out $(GPU_OUT) $(GPU_FLAGS)

clean:
	rm -rf $(VENV) build dist *.egg-info
