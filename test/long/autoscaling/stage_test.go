// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package autoscaling

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregatorclient "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned"

	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

const (
	// patience is how long something may take before the test fails.
	patience = 5 * time.Minute
	// pollInterval is how often is looked whether it happened.
	pollInterval = time.Second
	// endGrace is how long a program in a member may take to end.
	endGrace = 5 * time.Second
)

// site is a member with a metrics-server and an adapter, and its log of writes by the fleet.
type site struct {
	*testbed.Member

	kube    kubernetes.Interface
	audit   witness.AuditLog
	adapter string // socket of its adapter, which takes values
}

// stage is a fleet over two members, one of which dials out.
type stage struct {
	fleet   *testbed.Fleet
	bin     string
	adapter string // program of adapters
	kube    kubernetes.Interface
	metrics metricsclient.Interface
	sites   []*site
}

func setUp(t *testing.T) *stage {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{bin: filepath.Join(repo, "_bin")}
	report := func(line string) { t.Log(line) }
	if err := toolchain.EnsureMetricsServer(t.Context(), toolchain.Config{Repo: repo, Bin: s.bin, Report: report}); err != nil {
		t.Fatal(err)
	}
	s.adapter = buildAdapter(t, s.bin)
	dir := filepath.Join(repo, "_run", "long-autoscaling")
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{Dir: dir, Bin: s.bin, Report: report})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(bed.Stop(context.WithoutCancel(t.Context())), bed.Close()); err != nil {
			t.Errorf("stop the test bed: %v", err)
		}
	})
	if s.fleet, err = bed.StartFleet(t.Context(), testbed.FleetConfig{}); err != nil {
		t.Fatal(err)
	}
	for _, member := range []testbed.MemberConfig{{Name: "alpha"}, {Name: "bravo", DialsOut: true}} {
		s.sites = append(s.sites, s.join(t, bed, dir, member))
	}
	config, err := s.fleet.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	s.kube, s.metrics = kubernetes.NewForConfigOrDie(config), metricsclient.NewForConfigOrDie(config)
	return s
}

// join starts a member whose kwok says what Pods use, with a metrics-server that reads
// it, and makes it one of the fleet.
func (s *stage) join(t *testing.T, bed *testbed.Bed, dir string, member testbed.MemberConfig) *site {
	t.Helper()
	usage, err := filepath.Abs(filepath.Join("testdata", "kwok.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	policy, log := filepath.Join(dir, member.Name+"-audit-policy.yaml"), filepath.Join(dir, member.Name+"-audit.log")
	if err := errors.Join(witness.WriteAuditPolicy(policy, "system:serviceaccounts:fleet-system"), os.RemoveAll(log)); err != nil {
		t.Fatal(err)
	}
	member.Flags = map[string][]string{
		"kwok":           {"--config=" + usage},
		"kube-apiserver": {"--audit-policy-file=" + policy, "--audit-log-path=" + log},
	}
	started, err := bed.StartMember(t.Context(), member)
	if err != nil {
		t.Fatal(err)
	}
	config, err := started.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	made := &site{Member: started, kube: kubernetes.NewForConfigOrDie(config), audit: witness.AuditLog{File: log}}
	made.pointToMetrics(t)
	aggregator := aggregatorclient.NewForConfigOrDie(config)
	made.serve(t, s.startMetricsServer(t, dir, made), "metrics-server", aggregator, "v1beta1.metrics.k8s.io")
	made.serve(t, s.startAdapter(t, dir, made), "adapter", aggregator,
		"v1beta1.custom.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io")
	if err := errors.Join(s.fleet.Join(t.Context(), started), s.fleet.AwaitReady(t.Context(), started)); err != nil {
		t.Fatal(err)
	}
	return made
}

// pointToMetrics has the nodes say where kwok has their metrics.
func (s *site) pointToMetrics(t *testing.T) {
	t.Helper()
	nodes, err := s.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes.Items {
		name := nodes.Items[i].Name
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"metrics.k8s.io/resource-metrics-path":"/metrics/nodes/%s/metrics/resource"}}}`, name)
		if _, err := s.kube.CoreV1().Nodes().Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// startMetricsServer runs a metrics-server in a member and returns its port.
func (s *stage) startMetricsServer(t *testing.T, dir string, of *site) int32 {
	t.Helper()
	port := freePort(t)
	kubeconfig := of.InnerKubeconfig()
	s.startInside(t, dir, of, "metrics-server", filepath.Join(s.bin, toolchain.MetricsServer),
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(int(port)), "--cert-dir="+t.TempDir(),
		"--kubelet-insecure-tls", "--kubelet-use-node-status-port", "--kubelet-preferred-address-types=InternalIP", "--metric-resolution=10s", "--kubelet-request-timeout=5s")
	return port
}

// startInside runs a program in a member until the test ends.
func (s *stage) startInside(t *testing.T, dir string, in *site, name, program string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, in.Name()+"-"+name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := in.Command(context.WithoutCancel(t.Context()), program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = endGrace
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		_ = log.Close()
	})
}

func freePort(t *testing.T) int32 {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return int32(listener.Addr().(*net.TCPAddr).Port) //nolint:gosec // a port
}

// serve has the member find what serves versions of APIs as if it ran in it.
func (s *site) serve(t *testing.T, port int32, name string, aggregator aggregatorclient.Interface, versions ...string) {
	t.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeExternalName, ExternalName: "localhost", Ports: []corev1.ServicePort{{Port: port, TargetPort: intstr.FromInt32(port)}},
	}}
	if _, err := s.kube.CoreV1().Services("kube-system").Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, of := range versions {
		version, group, _ := strings.Cut(of, ".")
		served := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: of}, Spec: apiregistrationv1.APIServiceSpec{
			Group: group, Version: version, GroupPriorityMinimum: 100, VersionPriority: 100, InsecureSkipTLSVerify: true,
			Service: &apiregistrationv1.ServiceReference{Namespace: "kube-system", Name: name, Port: &port},
		}}
		if _, err := aggregator.ApiregistrationV1().APIServices().Create(t.Context(), served, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// kubectl runs kubectl on the fleet and returns what it printed.
func (s *stage) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "kubectl"), append([]string{"--kubeconfig=" + s.fleet.Kubeconfig()}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// eventually fails the test unless check succeeds in time.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		if err := check(ctx); ctx.Err() == nil || last == nil {
			last = err
		}
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("wait for %s: not within %s: %v", what, patience, last)
	}
}
