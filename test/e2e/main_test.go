// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
)

// bedDir is where the bed is, so that two runs can be side by side.
var bedDir = flag.String("dir", "_run/e2e", "directory of the test bed in the repository")

// bed is what all tests of a run share. TestMain sets it.
var bed *environment

// environment is a fleet with its members, and who watches them.
type environment struct {
	repo  string
	bin   string
	dir   string
	bed   *testbed.Bed
	fleet *testbed.Fleet
	// fleetArgs are those of the fleet beyond what it needs.
	fleetArgs []string
	members   []*member
	// fleetAudit has all writes to the fleet.
	fleetAudit witness.AuditLog
}

// member is a joined cluster.
type member struct {
	*testbed.Member

	memberClient kubernetes.Interface
	// audit has the fleet's writes to the member.
	audit witness.AuditLog
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(suite.Main(m, *bedDir, setUp))
}

func setUp(ctx context.Context, b suite.Bed) error {
	e := &environment{repo: b.Repo, bin: b.Bin, dir: b.Dir, bed: b.Bed}
	if err := errors.Join(os.RemoveAll(e.auditDir()), os.MkdirAll(e.auditDir(), 0o700)); err != nil {
		return err
	}
	if err := e.startFleet(ctx); err != nil {
		return err
	}
	for _, config := range []testbed.MemberConfig{{Name: "member1", Nodes: 2}, {Name: "member2", Nodes: 2, DialsOut: true}} {
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
	return e.fleet.AwaitReady(ctx, e.members[0].Member, e.members[1].Member)
}

func (e *environment) auditDir() string { return filepath.Join(e.dir, "audit") }

// audited prepares an audit log for an API server and returns the flags for it.
func (e *environment) audited(server string, groups ...string) (witness.AuditLog, []string, error) {
	policy := filepath.Join(e.auditDir(), server+"-policy.yaml")
	log := filepath.Join(e.auditDir(), server+".log")
	if err := witness.WriteAuditPolicy(policy, groups...); err != nil {
		return witness.AuditLog{}, nil, err
	}
	return witness.AuditLog{File: log}, []string{"--audit-policy-file=" + policy, "--audit-log-path=" + log}, nil
}

func (e *environment) startFleet(ctx context.Context) error {
	audit, flags, err := e.audited("fleet")
	if err != nil {
		return err
	}
	e.fleetAudit, e.fleetArgs = audit, flags
	e.fleet, err = e.bed.StartFleet(ctx, testbed.FleetConfig{Args: flags})
	return err
}

// fleetGroup is the group that the fleet's users in members have: its service
// accounts live in a namespace of its own.
const fleetGroup = "system:serviceaccounts:" + wellknown.NamespaceSystem

// startMember starts a member whose API server logs what the fleet writes.
func (e *environment) startMember(ctx context.Context, config testbed.MemberConfig) (*member, error) {
	audit, flags, err := e.audited(config.Name, fleetGroup)
	if err != nil {
		return nil, err
	}
	config.Flags = map[string][]string{"kube-apiserver": flags}
	m, err := e.bed.StartMember(ctx, config)
	if err != nil {
		return nil, err
	}
	restConfig, err := m.RESTConfig()
	if err != nil {
		return nil, err
	}
	memberClient, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, err
	}
	return &member{Member: m, memberClient: memberClient, audit: audit}, nil
}
