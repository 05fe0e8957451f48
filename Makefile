# Thin on purpose: each target is a cargo line or two, logic lives in Rust. `make help` lists them.
CARGO ?= cargo
TARGET = $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
PLUGINS = bert cpu gemma gguf isq llama qwen safetensors
PACKAGES = -p host -p host-join -p host-pull $(PLUGINS:%=-p plugin-%)
# Repositories of third parties, each a workspace of its own: $(call examples,COMMAND,FURTHER ARGUMENTS).
EXAMPLES = hello-arch hello-tool
examples = for name in $(EXAMPLES); do CARGO_TARGET_DIR="$(abspath $(TARGET))/examples" \
  $(CARGO) $(1) --manifest-path examples/$$name/Cargo.toml $(2) || exit 1; done
# candle takes minutes to build, so only `make test-candle` builds it, and runs what needs it.
MEMBERS = --workspace --exclude plugin-candle
TESTED = $(MEMBERS) --exclude compute-suite
EXT = $(if $(filter Darwin,$(shell uname -s)),dylib,so)
ARGS ?=

.PHONY: help check dev build test test-prebuild test-candle test-neon test-clients test-mcp-servers test-mcp-conformance fmt fmt-check lint ci serve run bench bench-kernels clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## type-check everything
	$(CARGO) check $(MEMBERS) --all-targets --locked

dev: ## unoptimised build of host and plugins
	$(CARGO) build $(PACKAGES) --locked

build: ## release build, staged to dist/host and dist/plugins
	$(CARGO) build --release $(PACKAGES) --locked
	mkdir -p dist/plugins
	for name in host host-join host-pull; do \
	  install -m 755 "$(TARGET)/release/$$name" dist/$$name.part && \
	  mv dist/$$name.part dist/$$name || exit 1; \
	done
	for name in $(PLUGINS); do \
	  file=libplugin_$$name.$(EXT); \
	  install -m 644 "$(TARGET)/release/$$file" dist/plugins/$$file.part && \
	  mv dist/plugins/$$file.part dist/plugins/$$file || exit 1; \
	done

# The end-to-end tests load files that `cargo test` does not build.
test-prebuild:
	$(CARGO) build $(MEMBERS) --locked
	$(CARGO) build $(TESTED) --example mcp-client --locked
	$(call examples,build,--locked)

test: test-prebuild ## every test; needs nothing beside the checkout
	if $(CARGO) nextest --version >/dev/null 2>&1; then \
	  E2E_PREBUILT=1 $(CARGO) nextest run $(TESTED) --locked && \
	  $(CARGO) test --doc $(TESTED) --locked; \
	else \
	  E2E_PREBUILT=1 $(CARGO) test $(TESTED) --locked; \
	fi
	$(call examples,test,--locked)

test-candle: test-prebuild ## the reference runtime, and every runtime against it
	$(CARGO) build -p plugin-candle --locked
	$(CARGO) test -p plugin-candle --locked
	E2E_PREBUILT=1 $(CARGO) test $(MEMBERS) --test runtimes --locked
	$(CARGO) clippy -p plugin-candle --all-targets --locked -- -D warnings

# The first CPU has every extension, the second none that the kernels look for.
test-neon: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER = aarch64-linux-gnu-gcc
test-neon: export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER = qemu-aarch64 -L /usr/aarch64-linux-gnu
test-neon: ## the kernels on emulated Arm; needs qemu-user, a cross gcc and Rust's std for it
	for cpu in max cortex-a57; do \
	  QEMU_CPU=$$cpu $(CARGO) test -p kernels --target aarch64-unknown-linux-gnu --locked || exit 1; \
	done

test-clients: ## clients of others, installed from PyPI and npm, against the host
	$(CARGO) test -p e2e --test clients --locked -- --nocapture
	$(CARGO) clippy -p e2e --test clients --locked -- -D warnings

test-mcp-servers: ## MCP servers of others, installed from npm and PyPI, joined by the host
	$(CARGO) test -p e2e --test real_servers --locked -- --nocapture
	$(CARGO) clippy -p e2e --test real_servers --locked -- -D warnings

test-mcp-conformance: ## the official MCP suite, installed from npm, against the host; NODE=.. names a Node.js >= 22
	$(CARGO) test -p e2e --test mcp_conformance --locked -- --nocapture

fmt: ## format all code
	$(CARGO) fmt --all
	$(call examples,fmt)

fmt-check:
	$(CARGO) fmt --all --check
	$(call examples,fmt,--check)

lint: fmt-check ## formatting, clippy, rustdoc and the repository's own rules
	$(CARGO) clippy $(MEMBERS) --all-targets --locked -- -D warnings
	$(CARGO) clippy -p host --features otel --locked -- -D warnings
	$(call examples,clippy,--locked --all-targets -- -D warnings)
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(MEMBERS) --no-deps --locked
	$(CARGO) test -p tidy --locked

ci: ## what continuous integration runs
	.ci/run

serve: build ## make serve MODEL=path: build what is missing, then serve
	@test -n "$(MODEL)" || { echo "make serve MODEL=path/to/model.gguf" >&2; exit 2; }
	dist/host serve --plugins dist/plugins --model "$(MODEL)" $(ARGS)

run: build ## make run MODEL=path PROMPT='..': one answer, or a chat without PROMPT
	@test -n "$(MODEL)" || { echo "make run MODEL=path/to/model.gguf [PROMPT='..']" >&2; exit 2; }
	dist/host run --plugins dist/plugins "$(MODEL)" $(if $(PROMPT),"$(PROMPT)") $(ARGS)

bench: build ## make bench MODEL=path [ARGS="--vs URL"]: speed, alone or beside another server
	@test -n "$(MODEL)" || { echo "make bench MODEL=path/to/model.gguf" >&2; exit 2; }
	dist/host bench --plugins dist/plugins "$(MODEL)" $(ARGS)

bench-kernels: ## speed of each kernel beside its stored one; ARGS='q4_0 --write'
	$(CARGO) bench -p kernels --bench ratios --locked -- $(ARGS)

clean: ## remove what was built
	$(CARGO) clean
	rm -rf dist examples/*/target
