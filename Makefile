# Copyright The Fleet Authors.
# SPDX-License-Identifier: Apache-2.0

# Everything a developer or a user runs. `make help` lists the targets.

SHELL := /usr/bin/env bash -o pipefail
.DEFAULT_GOAL := help

KUBE_VERSION  := v1.36.3
FLEET_VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo v0.0.0)
GIT_COMMIT    := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
VERSION_PKGS  := k8s.io/component-base/version k8s.io/client-go/pkg/version
# Clients parse the served version: Kubernetes' own, with the fleet as build metadata.
LDFLAGS := $(foreach p,$(VERSION_PKGS),-X $(p).gitVersion=$(KUBE_VERSION)+fleet -X $(p).gitMajor=1 -X $(p).gitMinor=36 \
	-X $(p).gitCommit=$(GIT_COMMIT) -X $(p).gitTreeState=clean) -X fleet.dev/fleet/pkg/apis/wellknown.Version=$(FLEET_VERSION)

# Packages with tests that start an API server in the process, or real members.
UNIT_PKGS = $(shell go list ./cmd/... ./pkg/... ./hack/... ./examples/... | grep -v /generated/)

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build all fleet programs into _bin/.
	@echo "==> building fleet programs into _bin/"
	@mkdir -p _bin
	go build -ldflags '$(LDFLAGS)' -o _bin/ ./cmd/...
	@ln -sf fleet _bin/kubectl-fleet

-include hack/playground.mk

.PHONY: test
test: ## Run all tests: unit, integration, end-to-end (needs only Go).
	@$(MAKE) --no-print-directory test-unit
	@$(MAKE) --no-print-directory test-integration
	@$(MAKE) --no-print-directory test-e2e

# What is checked by "verify" is not checked again, and nobody debugs test binaries.
TEST_FLAGS := -vet=off -ldflags='-s -w'

.PHONY: test-unit
test-unit: ## Run the unit tests.
	@echo "==> unit tests"
	go test -timeout 10m $(TEST_FLAGS) -p 3 -parallel 8 $(UNIT_PKGS)

.PHONY: test-integration
test-integration: ## Run the tests with an API server and etcd in the process.
	@echo "==> integration tests"
	go test -timeout 10m $(TEST_FLAGS) -p 3 -parallel 4 ./test/integration/...

# End-to-end tests wait more than they compute, so two streams of them run side by
# side; see test/e2e/doc.go. There are at most eight members at a time: each program
# of Kubernetes takes inotify instances, of which a user has 128 by default.
E2E_APART  := ^(TestPartition|TestRotation|TestUnjoin)$$
E2E        := cd test/e2e && ../../_bin/fleet-e2e.test -test.timeout 20m -test.v -test.parallel 6
E2E_SECOND := ./test/e2e/syncer ./test/e2e/webhook
E2E_FIRST   = ./test/e2e/placement $$(go list ./test/testbed/... ./test/e2e/... | grep -vE '/test/e2e(/placement|/syncer|/webhook)?$$')

.PHONY: test-e2e test-e2e-first test-e2e-second
test-e2e: build binaries ## Run the tests against real member clusters.
	@echo "==> end-to-end tests against real members (logs of all processes: _run/e2e*)"
	go test -c $(TEST_FLAGS) -o _bin/fleet-e2e.test ./test/e2e
	@$(MAKE) --no-print-directory -j2 test-e2e-first test-e2e-second

test-e2e-first:
	$(E2E) -dir _run/e2e-apart -test.run '$(E2E_APART)'
	go test -timeout 20m -v $(TEST_FLAGS) -p 2 $(E2E_FIRST)

test-e2e-second:
	$(E2E) -test.skip '$(E2E_APART)'
	go test -timeout 20m -v $(TEST_FLAGS) -p 1 $(E2E_SECOND)

.PHONY: test-long
test-long: build binaries-old ## Run the tests of failures and of every kind that take long (about an hour); not part of "test".
	@echo "==> long tests against real members"
	go test -timeout 60m -v -p 1 ./test/long/...

.PHONY: conformance
conformance: build binaries-conformance ## Run a sample of Kubernetes' conformance tests on a fleet and on a plain cluster; writes docs/conformance.md.
	@echo "==> Kubernetes' conformance tests"
	go test -timeout 90m -v ./test/conformance

.PHONY: bench
bench: build binaries ## Measure against direct writes to the members; writes _run/bench/.
	@echo "==> benchmarks"
	go test -timeout 30m -v -p 1 -run '^TestBench' ./test/perf/...

.PHONY: bench-scheduler
bench-scheduler: ## Measure decisions of the scheduler, without API server; fails below its targets.
	@echo "==> benchmarks of the scheduler"
	go test -timeout 30m -run '^$$' -bench '^BenchmarkScheduler$$' -benchtime 1x ./pkg/scheduler

.PHONY: generate
generate: ## Regenerate clients, deep copies, conversions and OpenAPI.
	hack/update-codegen.sh

.PHONY: verify
verify: ## Check that generated code is current and the tree is tidy.
	hack/verify-codegen.sh
	@test -z "$$(gofmt -l cmd pkg test hack examples | grep -v /generated/)" || { echo "not gofmt-ed:"; gofmt -l cmd pkg test hack; exit 1; }
	go vet ./cmd/... ./pkg/... ./test/... ./examples/...

.PHONY: lint
lint: ## Run golangci-lint with the project's rules.
	go tool -modfile=hack/tools/go.mod golangci-lint run ./cmd/... ./pkg/... ./test/... ./examples/...
