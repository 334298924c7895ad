// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/test/testbed/toolchain"
)

func TestMemberConfigDefaults(t *testing.T) {
	cases := map[string]struct {
		reason string
		config MemberConfig
		want   MemberConfig
	}{
		"Empty": {
			reason: "members of a bed are in regions of their own with two zones each",
			config: MemberConfig{Name: "a"},
			want:   MemberConfig{Name: "a", Nodes: 2, Region: "region-3", Zones: []string{"region-3a", "region-3b"}},
		},
		"Set": {
			reason: "what is set stays",
			config: MemberConfig{Name: "a", Nodes: 1, Region: "eu", Zones: []string{"eu-1"}},
			want:   MemberConfig{Name: "a", Nodes: 1, Region: "eu", Zones: []string{"eu-1"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.config.withDefaults(3)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestNode(t *testing.T) {
	config := MemberConfig{Name: "a", Region: "eu", Zones: []string{"eu-1", "eu-2"}}
	for i, zone := range []string{"eu-1", "eu-2", "eu-1"} {
		n := node(config, i, "v1.36.3")
		if got := n.Labels[corev1.LabelTopologyZone]; got != zone {
			t.Errorf("nodes take the zones in turn: node %d is in %q, want %q", i, got, zone)
		}
		if got := n.Labels[corev1.LabelTopologyRegion]; got != "eu" {
			t.Errorf("node %d is in region %q", i, got)
		}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourcePods} {
			if q := n.Status.Allocatable[name]; q.IsZero() {
				t.Errorf("a node without allocatable %s takes no pods", name)
			}
		}
	}
}

func TestNodeConfig(t *testing.T) {
	n := node(MemberConfig{Name: "a", Region: "eu", Zones: []string{"eu-1"}}, 0, "v1.36.3")
	taint := corev1.Taint{Key: "pool", Value: "gpu", Effect: corev1.TaintEffectNoSchedule}
	NodeConfig{
		Name: "gpu-0", Labels: map[string]string{"pool": "gpu"}, Taints: []corev1.Taint{taint},
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), "example.com/gpu": resource.MustParse("2")},
	}.change(n)
	got := map[string]any{
		"name": n.Name, "hostname": n.Labels[corev1.LabelHostname], "pool": n.Labels["pool"], "zone": n.Labels[corev1.LabelTopologyZone], "taints": n.Spec.Taints,
		"cpu": n.Status.Allocatable.Cpu().String(), "gpu": n.Status.Allocatable.Name("example.com/gpu", resource.DecimalSI).String(),
		"memory": n.Status.Allocatable.Memory().String(), "capacity": n.Status.Capacity.Cpu().String(),
	}
	want := map[string]any{
		"name": "gpu-0", "hostname": "gpu-0", "pool": "gpu", "zone": "eu-1", "taints": []corev1.Taint{taint},
		"cpu": "4", "gpu": "2", "memory": nodeMemory, "capacity": "4",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("an added node is like the others but for what is said about it: -want, +got:\n%s", diff)
	}
}

func TestRanges(t *testing.T) {
	seen := map[string]bool{}
	for number := 1; number <= rangesPerBed; number++ {
		l := memberLayout{number: number}
		for _, r := range []string{l.serviceRange(), l.podRange()} {
			_, network, err := net.ParseCIDR(r)
			if err != nil {
				t.Fatal(err)
			}
			if seen[network.String()] {
				t.Errorf("members need ranges of their own: %s is used twice", network)
			}
			seen[network.String()] = true
		}
	}
	if got := (memberLayout{number: 2}).firstServiceIP().String(); got != "10.2.0.1" {
		t.Errorf("the kubernetes service gets the first address, got %s", got)
	}
}

func TestExtraFlagsComeLast(t *testing.T) {
	l := memberLayout{number: 1, config: MemberConfig{Name: "a", Flags: map[string][]string{scheduler: {"--v=4"}}}}
	for component, want := range map[string]bool{apiServer: false, controllerManager: false, scheduler: true, kwok: false} {
		flags := l.flags(component)
		if got := flags[len(flags)-1] == "--v=4"; got != want {
			t.Errorf("flags of a component go to it alone and override ours: %s has %v", component, flags)
		}
	}
}

func TestPrepare(t *testing.T) {
	bin := t.TempDir()
	stage := filepath.Join(bin, toolchain.StagesDir, "stage.yaml")
	if err := os.MkdirAll(filepath.Dir(stage), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stage, []byte("kind: Stage\nmetadata: {name: stock}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := memberLayout{dir: t.TempDir(), number: 1, config: MemberConfig{Name: "a"}, ports: memberPorts{APIServer: 21000}}
	if err := l.prepare(bin, time.Now()); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, l.keys().ca())
	if err := l.prepare(bin, time.Now()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, readFile(t, l.keys().ca())); diff != "" {
		t.Error("a member that starts again keeps its keys")
	}

	t.Run("ServerCertificate", func(t *testing.T) {
		pair, err := tls.LoadX509KeyPair(l.keys().pair("server"))
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(before))
		for _, name := range []string{loopback, "kubernetes.default.svc", "10.1.0.1"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Errorf("clients reach the API server as %s: %v", name, err)
			}
		}
	})
	t.Run("Kubeconfig", func(t *testing.T) {
		config, err := loadConfig(l.kubeconfig())
		if err != nil {
			t.Fatal(err)
		}
		if config.Host != "https://127.0.0.1:21000" || config.QPS >= 0 {
			t.Errorf("want the member's address and no client-side limits, got %s, %v", config.Host, config.QPS)
		}
		block, err := tls.X509KeyPair(config.CertData, config.KeyData)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{administrators}, block.Leaf.Subject.Organization); diff != "" {
			t.Errorf("the kubeconfig is for an administrator: -want +got:\n%s", diff)
		}
	})
	t.Run("Private", func(t *testing.T) {
		for _, file := range []string{l.kubeconfig(), l.keys().caKey()} {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s holds a key and has mode %v", file, info.Mode())
			}
		}
	})
	t.Run("Kwok", func(t *testing.T) {
		got := map[string]bool{}
		for document := range strings.SplitSeq(readFile(t, filepath.Join(l.kwokDir(), kwokConfigFile)), "\n---\n") {
			object := struct {
				Kind     string
				Metadata struct{ Name string }
			}{}
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Fatalf("%v in:\n%s", err, document)
			}
			got[object.Kind+"/"+object.Metadata.Name] = true
		}
		for _, want := range []string{"Stage/stock", "Stage/pod-ready", "Stage/pod-complete", "Stage/pod-failed", "Stage/pod-observed", "Stage/service-load-balancer", "Stage/ingress-load-balancer", "ClusterLogs/all", "ClusterExec/all", "ClusterPortForward/all"} {
			if !got[want] {
				t.Errorf("kwok needs %s, has %v", want, got)
			}
		}
	})
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestStreams(t *testing.T) {
	cases := map[string]struct {
		reason string
		root   bool
		want   bool
	}{
		"Root": {"exec must not run as root", true, true},
		"User": {"only root can become another user", false, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			documents, err := ownStages(stageValues{PodLog: "/x/pod.log", Root: tc.root})
			if err != nil {
				t.Fatal(err)
			}
			got := bytes.Join(documents, nil)
			if strings.Contains(string(got), "runAsUser") != tc.want {
				t.Errorf("%s:\n%s", tc.reason, got)
			}
			if strings.Count(string(got), "/x/pod.log") != 3 {
				t.Errorf("logs, previous logs and attach read the pod log:\n%s", got)
			}
		})
	}
}

func TestCRILog(t *testing.T) {
	got := criLog([]string{"one", "two"}, time.Unix(0, 0))
	want := "1970-01-01T00:00:00Z stdout F one\n1970-01-01T00:00:00Z stdout F two\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the log reader takes the CRI's format only: -want +got:\n%s", diff)
	}
}
