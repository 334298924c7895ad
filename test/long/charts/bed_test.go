// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"context"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	certutil "k8s.io/client-go/util/cert"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
)

// commandTimeout bounds one run of a client.
const commandTimeout = 5 * time.Minute

// memberNames are the members; the second can only dial out.
var memberNames = []string{"member1", "member2", "member3"}

// bed is what the tests share. TestMain sets it.
var bed *environment

// environment is a fleet with its members.
type environment struct {
	dir, bin string
	bed      *testbed.Bed
	fleet    *testbed.Fleet
	members  []*member
	// values are the flags with the certificate of the operators' webhooks.
	values []string
}

// member is a joined cluster.
type member struct {
	name         string
	kubeconfig   string
	memberClient kubernetes.Interface
}

func TestMain(m *testing.M) { os.Exit(suite.Main(m, "_run/charts", setUp)) }

func setUp(ctx context.Context, b suite.Bed) (err error) {
	bed = &environment{dir: b.Dir, bin: b.Bin, bed: b.Bed}
	if bed.fleet, err = bed.bed.StartFleet(ctx, testbed.FleetConfig{}); err != nil {
		return err
	}
	if err := bed.startMembers(ctx); err != nil {
		return err
	}
	return bed.startServers()
}

func (e *environment) startMembers(ctx context.Context) error {
	var configs []testbed.MemberConfig
	for i, name := range memberNames {
		forward, err := suite.PortForward(e.socket(name))
		if err != nil {
			return err
		}
		configs = append(configs, testbed.MemberConfig{Name: name, Nodes: 2, DialsOut: i == 1, PortForward: forward})
	}
	members, err := e.bed.StartMembers(ctx, configs...)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := e.fleet.Join(ctx, m); err != nil {
			return err
		}
		config, err := m.RESTConfig()
		if err != nil {
			return err
		}
		memberClient, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		e.members = append(e.members, &member{name: m.Name(), kubeconfig: m.Kubeconfig(), memberClient: memberClient})
	}
	return e.fleet.AwaitReady(ctx, members...)
}

// startServers starts what runs in the operators' Pods, one server for each member.
func (e *environment) startServers() error {
	var hosts []string
	for _, h := range helms {
		hosts = append(hosts, releaseName+".operator-"+h.program+".svc")
	}
	// The first certificate is the server's, the second its authority's.
	pair, key, err := certutil.GenerateSelfSignedCertKey(hosts[0], nil, hosts)
	if err != nil {
		return err
	}
	certificate, err := tls.X509KeyPair(pair, key)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"cert": pair, "key": key, "ca": pair} {
		file := filepath.Join(e.dir, name+".pem")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
		e.values = append(e.values, "--set-file=tls."+name+"="+file)
	}
	for _, m := range e.members {
		if err := serve(m.name, e.socket(m.name), certificate); err != nil {
			return err
		}
	}
	return nil
}

// socket is where what runs in the Pods of a member listens.
func (e *environment) socket(member string) string { return filepath.Join(e.dir, member+".sock") }

// run runs a program as the fleet's administrator and returns what it prints.
func (e *environment) run(ctx context.Context, program string, args ...string) (string, error) {
	return runWith(ctx, e.fleet.Kubeconfig(), program, args...)
}

// run runs a program as the member's administrator and returns what it prints.
func (m *member) run(ctx context.Context, program string, args ...string) (string, error) {
	return runWith(ctx, m.kubeconfig, program, args...)
}

// runWith returns the standard output of a program that succeeds, and all output of one
// that fails.
func runWith(ctx context.Context, kubeconfig, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bed.bin, program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+filepath.Join(bed.dir, "home"))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}
