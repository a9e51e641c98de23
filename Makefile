# What one does with a checkout. `make` alone lists it. The work itself is in the npm scripts.
.DEFAULT_GOAL := help
.PHONY: help mod build run mock test docs-test check bench bench-peers chaos fuzz clean-stream

# The first port must be free; for the others a taken one is a warning.
PORT ?= 3000,8080
# More for the tests: make test ARGS=--test-name-pattern=retention
ARGS ?=

# For docs-test: what is not to be asked for, of go, python3.websockets (the module) and wscat.
WITHOUT ?=

# For chaos: redis or embedded; replicated or memory (Redis only); how long; the seed of an earlier run; every fault told.
STORE ?= redis
DURABILITY ?= replicated
MINUTES ?= 10
SEED ?=
VERBOSE ?=

# For fuzz: how many inputs (and SEED, as for chaos).
INPUTS ?= 200000

SOURCES := $(shell find src scripts console -path console/dist -prune -o -type f -print)
# Run by `exec`, so that a signal to make reaches the server and not a shell around it.
# One helper thread for V8, not four: where cores are few they take the loop's time (docs/operations.md, Few cores).
SERVE = node --v8-pool-size=1 dist/cli/main.js serve

help: ## List what make can do
	@echo "make <target>"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

mod: node_modules/.package-lock.json ## Install the dependencies, when package-lock.json changed

node_modules/.package-lock.json: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

build: dist/.built ## Compile into dist, when a source changed

# A stamp, so that a second `make run` leaves alone the files that a running server may still have to load.
dist/.built: node_modules/.package-lock.json package.json tsconfig.base.json tsconfig.build.json $(SOURCES)
	@npm run --silent build
	@touch $@

run: build ## Serve on ports 3000 and 8080 (PORT), with the log in ./data, or in Redis if REDIS_URL is set
	@exec env PORT="$(PORT)" $(SERVE)

mock: build ## The same server with its log in memory: nothing is kept
	@exec env PORT="$(PORT)" REDIS_URL= STORE=memory $(SERVE)

test: mod ## Run all tests; installs redis-server, nginx, haproxy, strace, chromium and promtool when they are missing
	@scripts/ensure-tools.sh
	@npm test --silent -- $(ARGS)

docs-test: mod ## Run every block of the documents, those in Python and Go and for wscat too (WITHOUT="go wscat": but not these)
	@scripts/ensure-tools.sh
	@WITHOUT="$(WITHOUT)" npm run --silent docs:test

check: mod ## Everything that must be green before a commit: lint, format, docs, package, tests with coverage
	@scripts/ensure-tools.sh
	@npm run --silent check

chaos: mod ## Kill servers and Redis at random under load, and prove that nothing is lost (STORE DURABILITY MINUTES SEED VERBOSE)
	@scripts/ensure-tools.sh
	@npm run --silent chaos -- --store "$(STORE)" --durability "$(DURABILITY)" --minutes "$(MINUTES)" --seed "$(SEED)" $(if $(VERBOSE),--verbose)

fuzz: mod ## Send a server hundreds of thousands of inputs that are wrong, and prove that it takes them (INPUTS SEED)
	@npm run --silent fuzz -- --inputs "$(INPUTS)" --seed "$(SEED)"

bench: mod ## Measure
	@npm run --silent bench

bench-peers: ## Install the servers that bench compares with: NATS, Nchan
	@scripts/bench-peers.sh

clean-stream: build ## Remove all entries of the default channel from Redis (REDIS_URL, STREAM)
	@node scripts/clean-stream.mjs
