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
UNIT_PKGS = $(shell go list ./cmd/... ./pkg/... | grep -v /generated/)

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build all fleet programs into _bin/.
	@echo "==> building fleet programs into _bin/"
	@mkdir -p _bin
	go build -trimpath -ldflags '$(LDFLAGS)' -o _bin/ ./cmd/...

-include hack/playground.mk
