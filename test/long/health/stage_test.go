// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

// Names of the members. The second one dials out, and gets lost.
const (
	steady = "member1"
	lost   = "member2"
)

// lostLabel marks the node of the plain cluster that gets lost.
const lostLabel = "health.example.com/lost"

// place is a fleet, a member or the plain cluster, as its administrator sees it.
type place struct {
	name       string
	kubeconfig string
	kube       kubernetes.Interface
	objects    dynamic.Interface
	mapper     meta.ResettableRESTMapper
}

// of is how objects of the kind of one are reached.
func (p *place) of(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := object.GroupVersionKind()
	mapping, err := p.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		p.mapper.Reset()
		mapping, err = p.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return p.objects.Resource(mapping.Resource).Namespace(object.GetNamespace()), nil
	}
	return p.objects.Resource(mapping.Resource), nil
}

// stage is a fleet over two members, and a plain cluster beside it.
type stage struct {
	repo, bin string
	// scratch is a directory for files of the test, judge the program of libraries.
	scratch, judge string
	fleet          *place
	plain          *place
	// operated are where controllers run: both members and the plain cluster.
	operated []*place
	// lost is the member that gets lost.
	lost *testbed.Member
}

// newStage starts everything and stops it when the test ends.
func newStage(t *testing.T) *stage {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{repo: repo, bin: filepath.Join(repo, "_bin"), scratch: t.TempDir()}
	s.buildJudge(t)
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{Dir: filepath.Join(repo, "_run", "health"), Bin: s.bin, Report: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(bed.Stop(context.WithoutCancel(t.Context())), bed.Close()); err != nil {
			t.Errorf("stop the test bed: %v", err)
		}
	})
	fleet, err := bed.StartFleet(t.Context(), testbed.FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	members, err := bed.StartMembers(t.Context(),
		testbed.MemberConfig{Name: steady, Nodes: 1, Zones: []string{"a"}},
		testbed.MemberConfig{Name: lost, Nodes: 1, DialsOut: true, Zones: []string{"b"}},
		testbed.MemberConfig{Name: "plain", Nodes: 2, Zones: []string{"a", "b"}, Flags: map[string][]string{
			// A node is lost when nobody plays its kubelet any more.
			"kwok": {"--manage-all-nodes=false", "--manage-nodes-with-label-selector=!" + lostLabel},
		}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		p := newPlace(t, m.Name(), m)
		p.equip(t)
		s.operated = append(s.operated, p)
	}
	joined := members[:2]
	for _, m := range joined {
		if err := fleet.Join(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := fleet.AwaitReady(t.Context(), joined...); err != nil {
		t.Fatal(err)
	}
	s.fleet = newPlace(t, "fleet", fleet)
	s.lost = members[1]
	s.plain = s.operated[2]
	return s
}

// scarce are resources of which a node has one piece, for kinds that are to find too
// little of something.
var scarce = []corev1.ResourceName{"example.com/deployment", "example.com/replicaset", "example.com/job", "example.com/pod"}

// equip gives nodes room for all Pods of the test, and one of each scarce resource.
func (p *place) equip(t *testing.T) {
	t.Helper()
	nodes, err := p.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	resources := map[corev1.ResourceName]string{corev1.ResourcePods: "1000"}
	for _, name := range scarce {
		resources[name] = "1"
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"capacity": resources, "allocatable": resources}})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes.Items {
		if _, err := p.kube.CoreV1().Nodes().PatchStatus(t.Context(), node.Name, patch); err != nil {
			t.Fatal(err)
		}
	}
}

// buildJudge builds the program of libraries, a module of its own.
func (s *stage) buildJudge(t *testing.T) {
	t.Helper()
	s.judge = filepath.Join(s.scratch, "judge")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", s.judge, ".")
	build.Dir = filepath.Join(s.repo, "test", "long", "health", "judge")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program of libraries: %v\n%s", err, out)
	}
}

// server is what has an API server.
type server interface {
	RESTConfig() (*rest.Config, error)
	Kubeconfig() string
}

func newPlace(t *testing.T, name string, of server) *place {
	t.Helper()
	config, err := of.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	p := &place{name: name, kubeconfig: of.Kubeconfig()}
	if p.kube, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if p.objects, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	p.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discoverer))
	return p
}
