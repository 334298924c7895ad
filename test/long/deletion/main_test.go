// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletion

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
)

// nodes of each member; each has room for 110 Pods.
const nodes = 6

// bed is what all tests share. TestMain sets it.
var bed *environment

// environment is a fleet with two members, the second of which dials out and has its
// syncer in a process of its own.
type environment struct {
	dir     string
	bed     *testbed.Bed
	fleet   *testbed.Fleet
	members []*member
	clients
}

// clients are those of an administrator of one API server.
type clients struct {
	kube    kubernetes.Interface
	objects dynamic.Interface
	fleet   fleetclient.Interface
}

// member is a joined cluster.
type member struct {
	*testbed.Member
	clients

	// audit has all writes to the member.
	audit witness.AuditLog
}

func TestMain(m *testing.M) { os.Exit(suite.Main(m, "_run/long-deletion", setUp)) }

func setUp(ctx context.Context, b suite.Bed) (err error) {
	e := &environment{dir: b.Dir, bed: b.Bed}
	if e.fleet, err = e.bed.StartFleet(ctx, testbed.FleetConfig{}); err != nil {
		return err
	}
	if err := e.connect(); err != nil {
		return err
	}
	for _, config := range []testbed.MemberConfig{{Name: "near", Nodes: nodes}, {Name: "far", Nodes: nodes, DialsOut: true}} {
		m, err := e.startMember(ctx, config)
		if err != nil {
			return err
		}
		e.members = append(e.members, m)
		if err := e.fleet.Join(ctx, m.Member); err != nil {
			return err
		}
	}
	bed = e
	return e.ready(ctx)
}

// connect makes the clients of the fleet, anew after it got other certificates.
func (e *environment) connect() error {
	config, err := e.fleet.RESTConfig()
	if err != nil {
		return err
	}
	e.clients, err = newClients(config)
	return err
}

// ready waits until the members are.
func (e *environment) ready(ctx context.Context) error {
	return e.fleet.AwaitReady(ctx, e.members[0].Member, e.members[1].Member)
}

// startMember starts a member whose API server logs writes.
func (e *environment) startMember(ctx context.Context, config testbed.MemberConfig) (*member, error) {
	policy, log := filepath.Join(e.dir, config.Name+"-policy.yaml"), filepath.Join(e.dir, config.Name+"-audit.log")
	if err := errors.Join(os.RemoveAll(log), witness.WriteAuditPolicy(policy)); err != nil {
		return nil, err
	}
	config.Flags = map[string][]string{"kube-apiserver": {"--audit-policy-file=" + policy, "--audit-log-path=" + log}}
	m, err := e.bed.StartMember(ctx, config)
	if err != nil {
		return nil, err
	}
	restConfig, err := m.RESTConfig()
	if err != nil {
		return nil, err
	}
	made, err := newClients(restConfig)
	return &member{Member: m, clients: made, audit: witness.AuditLog{File: log}}, err
}

func newClients(config *rest.Config) (clients, error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return clients{}, err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return clients{}, err
	}
	fleet, err := fleetclient.NewForConfig(config)
	return clients{kube: kube, objects: objects, fleet: fleet}, err
}
