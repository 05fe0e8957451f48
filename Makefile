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
STARTER = dist/models/starter/starter-q8_0.gguf
MCP_CONFIG ?= examples/mcp/servers.json
SHELL_NAME ?= bash
EXT = $(if $(filter Darwin,$(shell uname -s)),dylib,so)
ARGS ?=

.PHONY: help check dev build dist test test-prebuild test-candle test-neon test-clients test-mcp-servers test-mcp-conformance fmt fmt-check lint ci serve run run-with-mcp doctor docs completions bench bench-kernels clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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
	mkdir -p dist/models && rm -rf dist/models/starter && cp -R models/starter dist/models/
	for name in $(PLUGINS); do \
	  file=libplugin_$$name.$(EXT); \
	  install -m 644 "$(TARGET)/release/$$file" dist/plugins/$$file.part && \
	  mv dist/plugins/$$file.part dist/plugins/$$file || exit 1; \
	done

dist: build ## an archive of the host, its plugins, the starter model and all licences
	$(CARGO) run -q -p package --locked -- dist

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

serve: build ## build what is missing, then serve the starter model, or MODEL=path/to/model.gguf
	dist/host serve --plugins dist/plugins $(if $(MODEL),--model "$(MODEL)") $(ARGS)

run: build ## one answer to PROMPT='..', or a chat without it; MODEL=path for another than the starter
	dist/host run --plugins dist/plugins "$(or $(MODEL),$(STARTER))" $(if $(PROMPT),"$(PROMPT)") $(ARGS)

run-with-mcp: build ## serve, joined by the tool servers of MCP_CONFIG=servers.json
	dist/host serve --plugins dist/plugins $(if $(MODEL),--model "$(MODEL)") --mcp-config "$(MCP_CONFIG)" $(ARGS)

doctor: build ## what this machine has and lacks for serving
	dist/host doctor --plugins dist/plugins $(ARGS)

docs: ## the documentation of all crates, in target/doc
	$(CARGO) doc $(MEMBERS) --no-deps --locked

completions: build ## completions of SHELL_NAME=bash, zsh, fish or powershell on standard output
	@dist/host completions $(SHELL_NAME)

bench: build ## speed of MODEL=path, alone or beside another server with ARGS="--vs URL"
	dist/host bench --plugins dist/plugins "$(or $(MODEL),$(STARTER))" $(ARGS)

bench-kernels: ## speed of each kernel beside its stored one; ARGS='q4_0 --write'
	$(CARGO) bench -p kernels --bench ratios --locked -- $(ARGS)

clean: ## remove what was built
	$(CARGO) clean
	rm -rf dist examples/*/target
