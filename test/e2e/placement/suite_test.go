// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// patience is how long something may take before a case fails. It takes a
	// second or two; the rest is room for a machine that does other things.
	patience = 90 * time.Second
	// calm is how long something that must not happen is given to happen, after
	// a probe has shown that it could have.
	calm = time.Second
)

// testCase is a story that a user can tell.
type testCase struct {
	// reason says what the case shows.
	reason string
	// exclusive cases change members for everybody, and run alone.
	exclusive bool
	// slow cases wait for time to pass, and start before the others.
	slow bool
	// nodes that only the Pods of this case run on, see pooled.
	nodes nodes
	// steps are taken one after the other.
	steps []step
}

// nodes are the sizes of nodes by member, for example "cpu=4,example.com/gpu=1".
type nodes map[string][]string

// step is something that a user does, or expects to see.
type step func(t *testing.T, s *story)

// story is a case that runs.
type story struct {
	namespace string
	// dir is for files of the case, fleetDir has those of the fleet.
	dir, fleetDir string
	// kubeconfig is that of the fleet's administrator with the namespace as default.
	kubeconfig string
	// probes is how often the scheduler was probed, see awaitHeard.
	probes int
}

// allCases are the tables of all files.
func allCases() map[string]testCase {
	all := map[string]testCase{}
	for _, table := range []map[string]testCase{
		triggerCases, interpretedCases, priorityCases, matchingCases, automaticCases, affinityCases, divisionCases, capacityCases, spreadCases, overrideCases, reasonCases, suspensionCases, dependencyCases,
	} {
		for name, tc := range table {
			if _, ok := all[name]; ok {
				panic("two cases are named " + name)
			}
			all[name] = tc
		}
	}
	return all
}

// TestPlacement runs all cases.
func TestPlacement(t *testing.T) {
	all := allCases()
	for _, name := range slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[a].turn(), all[b].turn()), cmp.Compare(a, b))
	}) {
		tc := all[name]
		t.Run(name, func(t *testing.T) {
			if !tc.exclusive {
				t.Parallel()
			}
			tc.run(t, name)
		})
	}
}

// turn is when a case starts.
func (tc testCase) turn() int {
	switch {
	case tc.exclusive:
		return 0
	case tc.slow:
		return 1
	default:
		return 2
	}
}

func (tc testCase) run(t *testing.T, name string) {
	t.Helper()
	s := &story{namespace: namespaceOf(name), dir: t.TempDir(), fleetDir: bed.fleet.DataDir()}
	s.kubeconfig = s.writeKubeconfig(t)
	_, err := bed.fleetKube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the case shows: %s", tc.reason)
			s.dump(context.WithoutCancel(t.Context()), t)
		}
	})
	tc.awaitNodes(t, s)
	for _, step := range tc.steps {
		step(t, s)
	}
}

// writeKubeconfig does what "kubectl config set-context --current --namespace" does.
func (s *story) writeKubeconfig(t *testing.T) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(bed.fleet.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = s.namespace
	file := filepath.Join(s.dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// namespaceOf is the namespace of a case; it also marks its nodes.
func namespaceOf(name string) string { return strings.ToLower(name) }

// awaitNodes waits until the scheduler can know of the nodes of the case.
func (tc testCase) awaitNodes(t *testing.T, s *story) {
	t.Helper()
	if len(tc.nodes) == 0 {
		return
	}
	eventually(t, patience, "the fleet to know of the nodes of this case", func(ctx context.Context) error {
		for name, sizes := range tc.nodes {
			cluster, err := bed.fleetAPI.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			known := 0
			if cluster.Status.Capacity != nil {
				for _, class := range cluster.Status.Capacity.Classes {
					if class.Labels[poolKey] == s.namespace {
						known += int(class.Nodes)
					}
				}
			}
			if known != len(sizes) {
				return fmt.Errorf("of %s it knows %d, want %d", name, known, len(sizes))
			}
		}
		return nil
	})
}

// resources reads "cpu=4,example.com/gpu=1".
func resources(size string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for item := range strings.SplitSeq(size, ",") {
		name, quantity, _ := strings.Cut(item, "=")
		out[corev1.ResourceName(name)] = resource.MustParse(quantity)
	}
	return out
}
