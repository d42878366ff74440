# The one entry for people. Every target first makes ready what it needs (scripts/setup.sh), which takes no time when nothing is missing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

CARGO ?= cargo
OUT := $(or $(CARGO_TARGET_DIR),target)
FUZZ_SECONDS ?= 60
# Histories that `make sim` runs.
SEEDS ?= 5000
# Upgrades that `make upgrades` makes.
UPGRADES ?= 100
# Calls that `make fuzz-api` thinks of for each operation, and the number that they come from.
CALLS ?= 300
SEED ?= $(shell echo $$RANDOM)
# Minutes of chaos in `make soak`.
SOAK_MINUTES ?= 30
# Options of the side-by-side run, as in: make bench BENCH="--only nginx,cutover --what small --rounds 3"
BENCH ?=
# CI builds exactly what Cargo.lock says; at a desk, editing a manifest may update the lock.
LOCKED := $(if $(CI),--locked)
# End-to-end tests wait more than they work: in CI two of them share a core (.config/nextest.toml).
NEXTEST := $(if $(CI),--profile ci --test-threads $(shell echo $$((2 * $$(nproc)))))
# Always of the whole workspace: of one package, cargo would choose other features for what they share, and build all of that again.
OTLP := --features cutover-app/otlp
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

.PHONY: help demo test test-long sim upgrades soak soak-short bench bench-core bench-instructions dashboard docs check fmt lint deny tidy packaging deb dist trial fuzz fuzz-api fuzz-keep

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## upgrade a fleet of six servers under load, on this machine, and report (under two minutes)
	@scripts/setup.sh build
	$(CARGO) build --release $(LOCKED) --package cutover
	@exec $(OUT)/release/cutover demo

test: ## run every test: unit, property, simulation, and end to end with the real binary
	@scripts/setup.sh test
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; $(CARGO) nextest run $(LOCKED) --workspace $(NEXTEST); \
	else \
		set -x; $(CARGO) test $(LOCKED) --workspace --lib --bins --tests; \
	fi
	$(CARGO) test --quiet $(LOCKED) --workspace --doc
	$(CARGO) test --quiet $(LOCKED) --workspace $(OTLP) --lib otlp

test-long: test ## run every test, then fuzz every target for 30 s
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=30

sim: ## run SEEDS histories of the simulation (default 5000, a few minutes); a failing one is printed with how to replay it
	@scripts/setup.sh test
	CUTOVER_SIM_SEEDS=$(SEEDS) $(CARGO) test --quiet $(LOCKED) --package cutover --test sim -- --nocapture every_history

upgrades: ## replace cutover by itself UPGRADES times (default 100) under load, a few minutes
	@scripts/setup.sh test
	CUTOVER_E2E_UPGRADES=$(UPGRADES) $(CARGO) test $(LOCKED) --package cutover --test e2e -- --nocapture --exact upgrade::load::upgrades_under_load_fail_nothing

soak: ## SOAK_MINUTES (default 30) of chaos around real processes under load, in namespaces of its own; SOAK_SEED=n repeats a plan
	@scripts/setup.sh soak
	CUTOVER_SOAK_SECONDS=$$(($(SOAK_MINUTES) * 60)) CUTOVER_SOAK_OUT=$(abspath $(OUT))/soak $(if $(SOAK_SEED),CUTOVER_SOAK_SEED=$(SOAK_SEED)) \
		$(CARGO) test --quiet $(LOCKED) --package cutover --test soak -- --nocapture --exact promises_are_kept_under_chaos

soak-short: ## the same in ten minutes
	@$(MAKE) --no-print-directory soak SOAK_MINUTES=10

bench: ## measure beside nginx, HAProxy, Apache, Envoy, Caddy and Traefik, in one run (a quarter of an hour; results in benches/README.md)
	@scripts/setup.sh bench
	$(CARGO) build --release $(LOCKED) --package cutover
	$(CARGO) build --release $(LOCKED) --package side-by-side
	@exec $(OUT)/release/side-by-side --cutover $(OUT)/release/cutover $(BENCH)

bench-core: ## what the pieces on the way of a request cost (criterion, ten minutes)
	@scripts/setup.sh build
	$(CARGO) bench $(LOCKED) --workspace --bench '*'

bench-instructions: ## count the instructions of a request (valgrind), and fail above the ceilings of benches/instructions.toml
	@scripts/setup.sh instructions
	$(CARGO) build --release $(LOCKED) --package cutover
	$(CARGO) build $(LOCKED) --package side-by-side
	@exec $(OUT)/debug/side-by-side instructions --cutover $(OUT)/release/cutover $(BENCH)

dashboard: ## build the dashboard (dashboard/) into crates/control/dashboard, from where it is embedded; needs node and npm
	@scripts/dashboard.sh

docs: ## build the book of docs/ into target/book (mdbook; built once if it is missing, some minutes)
	@scripts/setup.sh docs
	@scripts/docs.sh

check: fmt lint deny tidy packaging ## formatting, lints, dependency rules, house rules, units (under a minute when warm)

fmt:
	@scripts/setup.sh build
	$(CARGO) fmt --all --check

lint:
	@scripts/setup.sh build
	$(CARGO) clippy --quiet $(LOCKED) --workspace --all-targets -- -D warnings
	$(CARGO) clippy --quiet $(LOCKED) --workspace --all-targets $(OTLP) -- -D warnings

deny:
	@scripts/setup.sh deny
	@scripts/deny.sh

tidy:
	@scripts/setup.sh build
	$(CARGO) test --quiet $(LOCKED) --workspace --test tidy

packaging:
	@scripts/package.sh check

deb: ## build the Debian package, into target/dist (a release build: some minutes)
	@scripts/setup.sh package
	@scripts/package.sh deb

dist: ## build what is released, reproducibly: tarball, Debian package, SBOM and checksums, into target/dist
	@scripts/setup.sh package
	@scripts/package.sh dist

trial: ## install the package in a Debian of its own, run its units by a real systemd, upgrade and remove it (after `make deb`; needs root)
	@scripts/setup.sh trial
	@scripts/trial.sh

fuzz: ## fuzz every target for FUZZ_SECONDS each (default 60); needs a nightly toolchain
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh $(FUZZ_SECONDS)

fuzz-api: ## ask the admin API what schemathesis thinks of, as each role, CALLS times for each operation (default 300, ten minutes)
	@scripts/setup.sh test
	CUTOVER_E2E_API_CALLS=$(CALLS) CUTOVER_E2E_API_SEED=$(SEED) $(CARGO) test $(LOCKED) --package cutover --test e2e -- --nocapture fuzz_api::

fuzz-keep: ## add what fuzzing learned to tests/fuzz/seeds, where the next runs begin
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh keep
