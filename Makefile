# Every target sets up what it needs in .venv first.
PYTHON ?= python3
BIN = .venv/bin
TEST_DATA ?= $(wildcard ../shared/data)

.PHONY: demo report test check test-slow torture test-gpu fuzz mutants bench bench-peers speedrun parity tables figures clean

demo: .venv/installed demo/data
	$(BIN)/fastffdi train --data demo/data --pipeline demo --backbone resnet10t --no-pretrained \
		--epochs 6 --batch-size 32 --lr 0.002 --output demo/run --overwrite
	$(BIN)/fastffdi predict demo/run/best.safetensors --data demo/data --output demo/submit.csv

demo/data: | .venv/installed
	$(BIN)/fastffdi demo-data demo/data

demo/run/best.safetensors:
	$(MAKE) demo

# The report of a checkpoint on validation images, and where Chromium is there the picture of it in README.md:
# make report CHECKPOINT=FILE [FACES=DIR]; without a checkpoint that of the demo.
CHECKPOINT ?= demo/run/best.safetensors
report: .venv/installed $(CHECKPOINT)
	mkdir -p build
	$(BIN)/fastffdi evaluate $(CHECKPOINT) --report build/report.html --overwrite \
		--data $(or $(FACES),$(if $(filter demo/%,$(CHECKPOINT)),demo/data,$(TEST_DATA:%=%/faces)))
	$(BIN)/python docs/screenshot.py build/report.html docs/report.png

# Files of tests are divided among so many processes, of about 2 GB each.
WORKERS ?= 2
test: .venv/installed
	FASTFFDI_TEST_DATA=$(TEST_DATA) $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) test

test-slow: .venv/installed
	FASTFFDI_TEST_DATA=$(TEST_DATA) $(BIN)/pytest -m slow

# Hostile files through every loader, and faults to every command; for other files: make torture FILES="DIR DIR".
torture: .venv/installed
	PYTHONPATH=tests $(BIN)/python -m torture $(or $(FILES),$(TEST_DATA:%=%/malformed) $(TEST_DATA:%=%/conformance)) \
		$(if $(FILES),,--page docs/reliability.md) $(if $(TRIES),--tries $(TRIES))

test-gpu: .venv/installed
	$(BIN)/pytest -m gpu -rs

# Each of the TARGETS for FUZZ_SECONDS, with atheris; where it has no wheel for this Python, with hypothesis.
FUZZ_SECONDS ?= 60
fuzz: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]' || echo "without atheris"
	PYTHONPATH=tests $(BIN)/python -m fuzz.run $(TARGETS) --seconds $(FUZZ_SECONDS)

# Hours with MUTANTS=all; MUTANTS=50 or PARTS="model data" for less. Goes on where it was stopped.
mutants: .venv/mutants
	FASTFFDI_TEST_DATA=$(abspath $(TEST_DATA)) $(BIN)/python tests/mutants.py \
		$(if $(MUTANTS),--mutants $(MUTANTS)) $(if $(PARTS),--parts $(PARTS))

bench: .venv/installed
	$(BIN)/fastffdi bench-loader $(if $(TEST_DATA),--data $(TEST_DATA)/photos)

# Other projects' loaders beside ours; what cannot be installed is a row that says why.
bench-peers: .venv/installed
	$(BIN)/python benchmarks/peers/install.py
	$(BIN)/python benchmarks/peers/compare.py $(or $(PHOTOS),$(TEST_DATA:%=%/photos))

# The seconds to a validation AUC of 0.95 on real images; WEIGHTS is the file of the ImageNet weights.
speedrun: .venv/installed
	$(BIN)/python benchmarks/speedrun.py $(or $(FACES),$(TEST_DATA:%=%/faces)) \
		--weights $(or $(WEIGHTS),$(error make speedrun WEIGHTS=FILE)) --table benchmarks/speedrun.md

# What is made from the code: docs/parity.md, docs/api.md, the tables in pipelines/README.md, and the schema of
# configuration files.
parity: .venv/installed
	FASTFFDI_TEST_DATA=$(TEST_DATA) $(BIN)/python docs/parity.py

tables: .venv/installed
	$(BIN)/python docs/tables.py
	$(BIN)/python docs/api.py
	$(BIN)/python docs/schema.py

# The images in README.md.
figures: demo/data
	$(BIN)/fastffdi preview --pipeline tutorial_strong --data demo/data --images 3 --draws 3 --seed 2 \
		-o docs/preview.jpg
	rm -rf demo/run
	$(BIN)/python docs/terminal.py docs/terminal.svg \
		"fastffdi train --data demo/data --pipeline demo --backbone resnet10t --no-pretrained --epochs 6 --batch-size 32 --lr 0.002 -o demo/run" \
		"fastffdi predict demo/run/best.safetensors --data demo/data -o demo/submit.csv && head -4 demo/submit.csv" \
		"fastffdi bench-loader --data demo/data --pipeline tutorial"

.venv/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.venv/mutants: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	touch $@

clean:
	rm -rf .venv .venv-peers demo runs build dist *.egg-info
