// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// fleetName names the fleet's program, process, directory and kubeconfig.
const fleetName = "fleet"

// FleetConfig describes the fleet of a bed.
type FleetConfig struct {
	// Args are appended to the arguments of "fleet server".
	Args []string `json:"args,omitempty"`
}

// Fleet is a "fleet server" process of a bed, with its data in the bed's directory.
type Fleet struct {
	// Process is the server. Its Terminate is a clean shutdown.
	Process *Process

	program string
	dataDir string
	port    int
	// args are those of the command without FleetConfig.Args.
	args []string
	// kubeconfig is a copy of the one the server writes.
	kubeconfig string
	report     func(line string)
}

// StartFleet starts the bed's fleet unless it runs and waits for /readyz. A fleet
// that was started before keeps its configuration.
func (b *Bed) StartFleet(ctx context.Context, c FleetConfig) (*Fleet, error) {
	f, err := b.ensureFleet(ctx, c)
	if err != nil {
		return nil, err
	}
	return f, f.Start(ctx)
}

// ensureFleet finds the fleet or adds it to the bed's state.
func (b *Bed) ensureFleet(ctx context.Context, c FleetConfig) (*Fleet, error) {
	if _, err := os.Stat(filepath.Join(b.cfg.Bin, fleetName)); err != nil {
		return nil, fmt.Errorf("find %s in %s: not built, run: make build", fleetName, b.cfg.Bin)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fleet != nil {
		return b.fleet, nil
	}
	port, err := b.fleetPort(ctx)
	if err != nil {
		return nil, err
	}
	b.state.Fleet = &fleetState{FleetConfig: c, Port: port}
	if err := b.state.save(b.cfg.Dir); err != nil {
		return nil, err
	}
	b.fleet = b.newFleet(*b.state.Fleet)
	return b.fleet, nil
}

// fleetPort is the port of the fleet, chosen once, before the fleet exists if need
// be. Callers hold b.mu and save the state.
func (b *Bed) fleetPort(ctx context.Context) (int, error) {
	if b.state.Fleet != nil {
		return b.state.Fleet.Port, nil
	}
	if b.state.FleetPort == 0 {
		ports, err := freePorts(ctx, 1, b.state.ports())
		if err != nil {
			return 0, err
		}
		b.state.FleetPort = ports[0]
	}
	return b.state.FleetPort, nil
}

// newFleet makes the handle of the fleet. Callers hold b.mu or own b.
func (b *Bed) newFleet(s fleetState) *Fleet {
	f := &Fleet{
		program:    filepath.Join(b.cfg.Bin, fleetName),
		dataDir:    filepath.Join(b.cfg.Dir, fleetName),
		port:       s.Port,
		kubeconfig: filepath.Join(b.cfg.Dir, fleetName+".kubeconfig"),
		report:     b.cfg.Report,
	}
	f.args = []string{
		"server",
		"--data-dir=" + f.dataDir,
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(s.Port),
	}
	f.Process = b.process(fleetName, f.program, append(slices.Clone(f.args), s.Args...))
	return f
}

// Kubeconfig is the file with the fleet's administrator. It exists once the fleet
// was ready.
func (f *Fleet) Kubeconfig() string { return f.kubeconfig }

// DataDir is the server's --data-dir.
func (f *Fleet) DataDir() string { return f.dataDir }

// RESTConfig is for clients that act as the fleet's administrator, without
// client-side rate limits.
func (f *Fleet) RESTConfig() (*rest.Config, error) { return loadConfig(f.kubeconfig) }

// Start starts the server unless it runs and waits for /readyz.
func (f *Fleet) Start(ctx context.Context) error {
	if err := f.Process.Start(ctx); err != nil {
		return err
	}
	if err := f.Process.await(ctx, readyTimeout, f.ready); err != nil {
		return err
	}
	f.report("fleet: API server is ready")
	return nil
}

// ready checks that the server wrote its kubeconfig and serves with it.
func (f *Fleet) ready(ctx context.Context) error {
	if err := f.copyKubeconfig(); err != nil {
		return err
	}
	config, err := f.RESTConfig()
	if err != nil {
		return err
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	return client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// Kill ends the server at once, as a crash does, and waits until it is gone.
func (f *Fleet) Kill(ctx context.Context) error { return f.Process.Kill(ctx) }

// Restart kills the server, starts it again and waits for /readyz.
func (f *Fleet) Restart(ctx context.Context) error {
	if err := f.Kill(ctx); err != nil {
		return err
	}
	return f.Start(ctx)
}

// RestartWith is Restart with other FleetConfig.Args. They hold until this program
// ends; who opens the bed later finds those that it was made with.
func (f *Fleet) RestartWith(ctx context.Context, args ...string) error {
	if err := f.Kill(ctx); err != nil {
		return err
	}
	f.Process.setArgs(append(slices.Clone(f.args), args...))
	return f.Start(ctx)
}

// Stop shuts the server down cleanly and reports how it ended. See Process.Terminate.
func (f *Fleet) Stop(ctx context.Context, grace time.Duration) error {
	return f.Process.Terminate(ctx, grace)
}

// copyKubeconfig puts the kubeconfig the server wrote where users look for it.
func (f *Fleet) copyKubeconfig() error {
	raw, err := os.ReadFile(filepath.Join(f.dataDir, "kubeconfigs", "admin.kubeconfig"))
	if err != nil {
		return err
	}
	if current, err := os.ReadFile(f.kubeconfig); err == nil && bytes.Equal(current, raw) {
		return nil
	}
	return os.WriteFile(f.kubeconfig, raw, 0o600)
}

// Run runs the fleet command as the fleet's administrator and returns its standard
// output. The error of a command that failed holds its standard error.
func (f *Fleet) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, f.program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+f.kubeconfig)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return string(out), fmt.Errorf("run fleet %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// Join joins a member, with "fleet join" or, if it can only dial out, by Register,
// unless the fleet has a cluster of its name. An agent that does not run is started.
// It does not wait; see AwaitReady.
func (f *Fleet) Join(ctx context.Context, m *Member) error {
	_, err := f.cluster(ctx, m.Name())
	switch {
	case err == nil && m.Agent != nil:
		return m.StartAgent(ctx)
	case err == nil || !apierrors.IsNotFound(err):
		return err
	case m.Agent != nil:
		return f.Register(ctx, m)
	}
	_, err = f.Run(ctx, "join", m.Name(), "--kubeconfig", m.Kubeconfig())
	return err
}

// AwaitReady waits until the fleet reports the members as Ready.
func (f *Fleet) AwaitReady(ctx context.Context, members ...*Member) error {
	for _, m := range members {
		err := f.Process.await(ctx, readyTimeout, func(ctx context.Context) error {
			return f.clusterReady(ctx, m.Name())
		})
		if err != nil {
			return fmt.Errorf("wait for cluster %q: %w", m.Name(), err)
		}
	}
	return nil
}

func (f *Fleet) clusterReady(ctx context.Context, name string) error {
	cluster, err := f.cluster(ctx, name)
	if err != nil {
		return err
	}
	condition := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionReady)
	switch {
	case condition == nil:
		return fmt.Errorf("cluster %q has no condition %s", name, clusterv1alpha1.ClusterConditionReady)
	case condition.Status != metav1.ConditionTrue:
		return fmt.Errorf("cluster %q is not ready: %s: %s", name, condition.Reason, condition.Message)
	}
	return nil
}

// cluster reads a Cluster from the fleet.
func (f *Fleet) cluster(ctx context.Context, name string) (*clusterv1alpha1.Cluster, error) {
	config, err := f.RESTConfig()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	raw, err := client.Resource(clusterv1alpha1.SchemeGroupVersion.WithResource("clusters")).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	cluster := &clusterv1alpha1.Cluster{}
	return cluster, runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, cluster)
}
