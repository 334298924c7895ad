// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/suite"
)

// bed is what all tests share. TestMain sets it.
var bed *environment

// environment is a fleet over a member that is dialed and one that dials out.
type environment struct {
	bin     string
	fleet   *testbed.Fleet
	members []*member
}

// member is a joined cluster.
type member struct {
	*testbed.Member

	kube kubernetes.Interface
}

func TestMain(m *testing.M) {
	if isKubelet(os.Args) {
		_, _ = fmt.Fprintln(os.Stderr, runKubelet(os.Args[2:]))
		os.Exit(1)
	}
	shells, err := shellsDir()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	code := suite.Main(m, "_run/long-console", func(setUpCtx context.Context, b suite.Bed) error { return setUp(setUpCtx, ctx, b, shells) })
	cancel()
	_ = os.RemoveAll(shells)
	os.Exit(code)
}

// setUp starts everything. What it starts itself runs as long as during.
func setUp(ctx, during context.Context, b suite.Bed, shells string) (err error) {
	bed = &environment{bin: b.Bin}
	if bed.fleet, err = b.StartFleet(ctx, testbed.FleetConfig{}); err != nil {
		return err
	}
	members, err := b.StartMembers(ctx, testbed.MemberConfig{Name: "near"}, testbed.MemberConfig{Name: "far", DialsOut: true})
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := bed.fleet.Join(ctx, m); err != nil {
			return err
		}
	}
	if err := bed.fleet.AwaitReady(ctx, members...); err != nil {
		return err
	}
	for _, m := range members {
		config, err := m.RESTConfig()
		if err != nil {
			return err
		}
		made := &member{Member: m, kube: kubernetes.NewForConfigOrDie(config)}
		bed.members = append(bed.members, made)
		if err := errors.Join(made.startKubelet(ctx, during, b.Dir, shells), bed.label(ctx, m.Name())); err != nil {
			return fmt.Errorf("prepare member %q: %w", m.Name(), err)
		}
	}
	return nil
}

// label gives a member's Cluster a label, by which it is chosen.
func (e *environment) label(ctx context.Context, name string) error {
	out, err := e.kubectl(ctx, "label", "cluster", name, "site="+name).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// kubectl is kubectl as the administrator of the fleet.
func (e *environment) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(e.bin, "kubectl"), append([]string{"--kubeconfig=" + e.fleet.Kubeconfig()}, args...)...)
}

// startKubelet puts a kubelet before kwok and has all nodes of the member say so.
func (m *member) startKubelet(ctx, during context.Context, dir, shells string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	nodes, err := m.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "logs", m.Name()+"-kubelet.log"))
	if err != nil {
		return err
	}
	cert, key := m.KubeletPair()
	behind := nodes.Items[0].Status.DaemonEndpoints.KubeletEndpoint.Port
	cmd := m.Command(during, program, kubeletArgs(port, behind, cert, key, m.InnerKubeconfig(), shells)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	for i := range nodes.Items {
		patch := fmt.Appendf(nil, `{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":%d}}}}`, port)
		if _, err := m.kube.CoreV1().Nodes().Patch(ctx, nodes.Items[i].Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
	}
	return nil
}

// shellsDir is a directory that the user of kwok's commands may write to.
func shellsDir() (string, error) {
	dir, err := os.MkdirTemp("", "fleet-console-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o777) //nolint:gosec // see above
}

func freePort(ctx context.Context) (int32, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = listener.Close() }()
	return int32(listener.Addr().(*net.TCPAddr).Port), nil //nolint:gosec // a port
}
