# Copyright The Fleet Authors.
# SPDX-License-Identifier: Apache-2.0

# The playground: real member clusters and a fleet over them, on this machine.
# Included by the Makefile. MEMBERS, NODES and PULL are read by "up" only.
MEMBERS ?=
NODES   ?=
PULL    ?=

PLAYGROUND := _bin/playground

.PHONY: up down status binaries binaries-old binaries-conformance playground

up: playground ## Start a fleet over MEMBERS=2 real clusters of NODES=2 nodes, PULL=0 of which can only dial out.
	@$(PLAYGROUND) up --members=$(or $(MEMBERS),0) --nodes=$(or $(NODES),0) --pull=$(or $(PULL),0) --ldflags="$(LDFLAGS)"

down: playground ## Stop exactly what "up" started and remove its data.
	@$(PLAYGROUND) down

status: playground ## Show the processes of the playground and their logs.
	@$(PLAYGROUND) status

binaries: playground ## Build what is missing of the members' programs, kubectl and helm into _bin/.
	@$(PLAYGROUND) build

binaries-old: playground ## Build also the control plane of Kubernetes 1.31 into _bin/v1.31/, for "test-long".
	@$(PLAYGROUND) build --old-release

binaries-conformance: playground ## Build also Kubernetes' own end-to-end tests, for "conformance".
	@$(PLAYGROUND) build --conformance

# The go command decides whether anything has to be done; on a cold machine the
# client libraries are compiled here, once.
playground:
	@mkdir -p _bin
	@test -x $(PLAYGROUND) || echo "compiling the playground (a minute on a cold machine)"
	@go build -o $(PLAYGROUND) ./hack/playground
