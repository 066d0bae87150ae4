# The verbs of this repository. `make demo` and `make test` do all their set-up on a fresh Debian or Ubuntu machine with
# a Swift 6.2+ toolchain.
JOBS ?= 2
# Tests that run at the same time.
TESTS_AT_ONCE ?= 8
STATE ?= pleach-state/demo
BENCHES ?=
SEEDS ?= 10000
FIRST ?= 0
KILLS ?= 20
TARGET ?= update
SECONDS ?= 60
PARITY ?= .build/parity
GROUPS ?= .build/groups
PAGE ?= .build/page
DOCS ?=

PLEACH := .build/release/pleach
SWIFT_FILES = find Package.swift Sources Tests Fuzzing/Package.swift Fuzzing/Fuzz -name '*.swift' -not -path '*/Generated/*' -print0

.PHONY: build release test docs page runtime parity simulate demo bench chaos fuzz conformance groups validate completions lint format protos clean dependencies

build: dependencies
	swift build -j $(JOBS)

release: dependencies
	swift build -c release -j $(JOBS) --product pleach

# Swift Testing only: the empty XCTest run would print its zero tests last.
# What the build wrote goes to the disk first: the tests' own syncs would wait for it, a minute and more.
# Left to itself Swift Testing starts all tests at once, and what waits for a message then waits for all other tests too.
test: dependencies
	swift build --build-tests -j $(JOBS)
	sync
	@SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=$(TESTS_AT_ONCE) Tests/report-failures \
		swift test --skip-build --disable-xctest

# Every command of README and docs as it is printed, in a fresh copy of the files (about ten minutes): says what failed, and what
# it leaves out and why. DOCS="docs/metrics.md" follows these files alone; PLEACH_DATA names the folder with mnist/.
docs: release
	Tests/docs/run_docs.py $(DOCS)

# The status page of a real run in a headless Chromium (Debian's package): numbers, widths, console, token; screenshots in PAGE.
page: release
	@command -v chromium >/dev/null || test -n "$(PLEACH_CHROMIUM)" || { echo 'apt-get install chromium'; exit 1; }
	Tests/page/check_page.py $(PLEACH) $(PAGE)

# A Python with ONNX Runtime (from PyPI, about 150 MB), with which runs and `pleach bench model` time models; without it their
# milliseconds are left out. PLEACH_PYTHON names another one.
runtime:
	test -x .build/runtime/venv/bin/python || python3 -m venv .build/runtime/venv
	.build/runtime/venv/bin/pip install --quiet --disable-pip-version-check -r Tests/onnxruntime/requirements.txt
	@.build/runtime/venv/bin/python -c 'import onnxruntime; print("ONNX Runtime", onnxruntime.__version__)'

# The engine beside PyTorch and ONNX Runtime (from PyPI): makes a venv and references in PARITY, about 1 GB, then compares.
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu takes torch without CUDA. Details: Tests/parity/README.md
parity: dependencies
	test -x $(PARITY)/venv/bin/python || python3 -m venv $(PARITY)/venv
	$(PARITY)/venv/bin/pip install --quiet --requirement Tests/parity/requirements.txt
	$(PARITY)/venv/bin/python -W ignore Tests/parity/make_fixture.py all $(PARITY)/fixtures
	$(PARITY)/venv/bin/python -W ignore Tests/parity/export_models.py $(PARITY)/exports
	swift build --build-tests -j $(JOBS)
	PLEACH_PARITY=$(abspath $(PARITY)) swift test --skip-build --disable-xctest \
		--filter 'ExecutionParityTests|ExecutionFixtureTests|ExecutionExportTests'

# Federations in memory, each decided by its seed (Tests/Simulation). SEED=n repeats one, TRACE=1 tells all of it.
simulate: dependencies
	swift build -c release -j $(JOBS) --product pleach-simulate
	.build/release/pleach-simulate $(if $(SEED),--seed $(SEED),--first $(FIRST) --seeds $(SEEDS)) $(if $(TRACE),--trace)

demo: release
	$(PLEACH) run Examples/demo/plan.yaml --workers 3 --fresh --state $(STATE)

# One JSON file per benchmark in Benchmarks/results; BENCHES="transport rounds-f32" runs only these.
bench: release
	Benchmarks/run $(BENCHES)

# A federation whose processes are killed, frozen and cut off while it works must end with the bytes of a calm one.
# As root every process gets a network namespace of its own.
chaos: release
	swift build -c release -j $(JOBS) --product pleach-chaos
	.build/release/pleach-chaos --binary $(PLEACH) --kills $(KILLS) --seed $(or $(SEED),1)

# One decoder of bytes from the network or from files under libFuzzer: make fuzz TARGET=update SECONDS=60 (targets: Tests/Fuzzing/Decoders).
# The corpus grows in .build/fuzz; an input that fails is left there as TARGET-crash-...
fuzz: dependencies
	cd Fuzzing && swift build -c release -j $(JOBS) --scratch-path ../.build/fuzz/build \
		-Xswiftc -sanitize=fuzzer -Xswiftc -parse-as-library
	@mkdir -p .build/fuzz/$(TARGET)
	@case $(TARGET) in update|description) cp protocols/vectors/*.bin .build/fuzz/$(TARGET);; esac
	PLEACH_FUZZ=$(TARGET) PLEACH_FUZZ_SEEDS=.build/fuzz/$(TARGET) .build/fuzz/build/release/fuzz \
		-max_total_time=$(SECONDS) -max_len=8192 -rss_limit_mb=1024 \
		-malloc_limit_mb=128 -timeout=10 -artifact_prefix=.build/fuzz/$(TARGET)- .build/fuzz/$(TARGET)

# The ONNX backend's node tests: a table of operators, and a failure when a result is worse than Tests/conformance/expected.txt.
# UPDATE=1 writes that list anew; ONLY=text runs the cases whose name holds it.
conformance: dependencies
	swift build -c release -j $(JOBS) --product pleach-conformance
	@test -x .build/conformance/venv/bin/python || python3 -m venv .build/conformance/venv
	.build/conformance/venv/bin/pip install --quiet --disable-pip-version-check -r Tests/conformance/requirements.txt
	.build/conformance/venv/bin/python Tests/conformance/run.py --runner .build/release/pleach-conformance \
		--work .build/conformance/work $(if $(UPDATE),--update) $(if $(ONLY),--only $(ONLY))

# Half of the channels of 97 torchvision models (PyPI; random weights, exported to GROUPS, about 20 GB) pruned, and sliced
# beside masked outputs. ONLY="resnet18 vit_b_16" checks these; UPDATE=1 writes Tests/groups/expected.txt anew.
groups: release
	test -x $(GROUPS)/venv/bin/python || python3 -m venv $(GROUPS)/venv
	$(GROUPS)/venv/bin/pip install --quiet --disable-pip-version-check --requirement Tests/groups/requirements.txt
	$(GROUPS)/venv/bin/python -W ignore Tests/groups/export_torchvision.py $(GROUPS)/models $(ONLY)
	$(GROUPS)/venv/bin/python Tests/groups/check_groups.py --pleach $(PLEACH) --models $(GROUPS)/models \
		$(if $(ONLY),--only $(ONLY)) $(if $(UPDATE),--update)

# Everything in cluster/ that can be checked without a container engine or a cluster; says what it skipped. ARGS=--install first.
validate:
	cluster/validate $(ARGS)

# Completions for bash, zsh and fish, and the manual page, in .build/share as they lie below a prefix such as /usr/local.
completions: release
	mkdir -p .build/share/bash-completion/completions .build/share/zsh/site-functions \
		.build/share/fish/vendor_completions.d .build/share/man/man1
	$(PLEACH) completions bash > .build/share/bash-completion/completions/pleach
	$(PLEACH) completions zsh > .build/share/zsh/site-functions/_pleach
	$(PLEACH) completions fish > .build/share/fish/vendor_completions.d/pleach.fish
	$(PLEACH) manual > .build/share/man/man1/pleach.1

lint:
	$(SWIFT_FILES) | xargs -0 swift format lint --strict --parallel

format:
	$(SWIFT_FILES) | xargs -0 swift format format --in-place --parallel

# Generated code is committed, so only those who edit a .proto need protoc (Debian: protobuf-compiler).
protos:
	@command -v protoc >/dev/null || { echo "make protos needs protoc: apt-get install protobuf-compiler" >&2; exit 1; }
	swift build --product protoc-gen-swift -j $(JOBS)
	protoc --proto_path=protocols --plugin=.build/debug/protoc-gen-swift --swift_opt=Visibility=Internal \
		--swift_out=Sources/Federation/Generated pleach.proto
	protoc --proto_path=protocols --plugin=.build/debug/protoc-gen-swift --swift_opt=Visibility=Internal \
		--swift_out=Sources/ModelGraph/Generated onnx.proto

clean:
	rm -rf .build

dependencies:
	@cluster/install-dependencies
