// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	certutil "k8s.io/client-go/util/cert"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	// setUpTimeout bounds the start of everything, tearDownTimeout its end.
	setUpTimeout    = 5 * time.Minute
	tearDownTimeout = time.Minute
	// commandTimeout bounds one run of a client.
	commandTimeout = 5 * time.Minute
)

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
	servers  []*server
	// values are the flags with the certificate of the operators' webhooks.
	values []string
}

// member is a joined cluster.
type member struct {
	name         string
	kubeconfig   string
	memberClient kubernetes.Interface
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == relayCommand {
		if err := relay(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	e, err := setUp(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "set up the tests of charts:", err)
		return 1
	}
	bed = e
	code := m.Run()
	if err := e.tearDown(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "tear down the tests of charts:", err)
		return max(code, 1)
	}
	return code
}

func setUp(ctx context.Context) (_ *environment, err error) {
	ctx, cancel := context.WithTimeout(ctx, setUpTimeout)
	defer cancel()
	repo, err := toolchain.Repo(".")
	if err != nil {
		return nil, err
	}
	e := &environment{dir: filepath.Join(repo, "_run", "charts"), bin: filepath.Join(repo, "_bin")}
	e.bed, err = testbed.OpenEmpty(ctx, testbed.Config{Dir: e.dir, Bin: e.bin, Report: func(line string) { fmt.Fprintln(os.Stderr, line) }})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.tearDown(context.WithoutCancel(ctx)))
		}
	}()
	if e.fleet, err = e.bed.StartFleet(ctx, testbed.FleetConfig{}); err != nil {
		return nil, err
	}
	if err := e.startMembers(ctx); err != nil {
		return nil, err
	}
	return e, e.startServers()
}

func (e *environment) startMembers(ctx context.Context) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var configs []testbed.MemberConfig
	for i, name := range memberNames {
		configs = append(configs, testbed.MemberConfig{
			Name: name, Nodes: 2, DialsOut: i == 1, PortForward: []string{program, relayCommand, e.socket(name)},
		})
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
		s, err := serve(m.name, e.socket(m.name), certificate)
		if err != nil {
			return err
		}
		e.servers = append(e.servers, s)
	}
	return nil
}

// socket is where what runs in the Pods of a member listens.
func (e *environment) socket(member string) string { return filepath.Join(e.dir, member+".sock") }

func (e *environment) tearDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tearDownTimeout)
	defer cancel()
	var errs []error
	for _, s := range e.servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, e.bed.Stop(ctx), e.bed.Close())...)
}

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
