// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"fleet.dev/fleet/test/e2e/witness"
)

const (
	allKindsFile      = "testdata/all-kinds.yaml"
	allKindsNamespace = "all-kinds"
	allKindsCRD       = "widgets.shop.example.com"
)

// where says which members an object of all-kinds.yaml belongs to.
type where string

const (
	everyMember where = "every member"
	oneMember   where = "one member"
)

// TestManifests applies one file with an object of every common kind.
func TestManifests(t *testing.T) {
	t.Parallel()
	s := allKindsSpace(t)
	file, err := filepath.Abs(allKindsFile)
	if err != nil {
		t.Fatal(err)
	}
	// kubectl finds the resource of every document before it applies the first, so
	// no cluster takes a custom resource together with its definition at once.
	s.applyDefinition(t, file)

	created := s.kubectl(t, "apply", "-f", file)
	if n := strings.Count(created, " created\n"); n != 15 {
		t.Errorf("first apply: want 15 objects created and 2 there already, got\n%s", created)
	}
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	s.kubectl(t, "rollout", "status", "statefulset/db", "--timeout=60s")
	s.kubectl(t, "wait", "--for=condition=Complete", "job/migrate", "--timeout=60s")
	s.checkArrivals(t)

	marks := s.settle(t)
	s.checkUnchanged(t, s.kubectl(t, "apply", "-f", file))
	if diff := s.kubectl(t, "diff", "-f", file); diff != "" {
		t.Errorf("kubectl diff of what was applied is empty, got\n%s", diff)
	}
	s.checkNoWrites(t, marks)
}

// allKindsSpace is the space of the file: its namespace is in the file.
func allKindsSpace(t *testing.T) *space {
	t.Helper()
	config, err := bed.fleet.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	kube, err := fleetKube()
	if err != nil {
		t.Fatal(err)
	}
	s := &space{command: asAdmin(), namespace: allKindsNamespace, config: config, kube: kube}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if t.Failed() {
			s.dump(ctx, t)
		}
		if err := s.remove(ctx); err != nil {
			t.Errorf("clean up: %v", err)
			s.dump(ctx, t)
		}
		if out := asAdmin().run(t, "kubectl", "delete", "crd", allKindsCRD, "--ignore-not-found"); out.code != 0 {
			t.Errorf("clean up: %s", out.stderr)
		}
	})
	return s
}

// applyDefinition applies the first two documents, the namespace and the CRD, and
// waits until the fleet serves the new kind.
func (s *space) applyDefinition(t *testing.T, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.SplitAfterN(string(raw), "\n---\n", 3)
	if out := s.kubectlStdin(t, documents[0]+documents[1], "apply", "-f", "-"); out.code != 0 {
		t.Fatalf("apply the definition: %s", out.stderr)
	}
	s.kubectl(t, "wait", "--for=condition=Established", "crd/"+allKindsCRD, "--timeout=30s")
}

// checkArrivals checks that every object is in the members it belongs to.
func (s *space) checkArrivals(t *testing.T) {
	t.Helper()
	cases := map[string]struct {
		reason   string
		resource schema.GroupVersionResource
		name     string
		cluster  bool
		want     where
	}{
		"Namespace":           {"created where something lands", schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, allKindsNamespace, true, everyMember},
		"Definition":          {"cluster-scoped configuration goes everywhere", schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}, allKindsCRD, true, everyMember},
		"ConfigMap":           {"the namespace has workloads in both members", schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, "settings", false, everyMember},
		"Secret":              {"the pods in both members refer to it", schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, "credentials", false, everyMember},
		"ServiceAccount":      {"the pods in both members run as it", schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}, "runner", false, everyMember},
		"Role":                {"follows the footprint of its namespace", schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}, "reader", false, everyMember},
		"RoleBinding":         {"its subject is a service account that travels", schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}, "reader", false, everyMember},
		"Service":             {"follows the footprint", schema.GroupVersionResource{Version: "v1", Resource: "services"}, "web", false, everyMember},
		"Deployment":          {"divided over all members with capacity", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "web", false, everyMember},
		"StatefulSet":         {"ordinals are unique in one member", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}, "db", false, oneMember},
		"Job":                 {"runs once", schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}, "migrate", false, oneMember},
		"CronJob":             {"runs once at its time", schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}, "report", false, oneMember},
		"PodDisruptionBudget": {"follows the footprint", schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}, "web", false, everyMember},
		"NetworkPolicy":       {"follows the footprint", schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"}, "web", false, everyMember},
		"Ingress":             {"follows the footprint", schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}, "web", false, everyMember},
		"Widget":              {"custom resources follow the footprint, after their definition", schema.GroupVersionResource{Group: "shop.example.com", Version: "v1", Resource: "widgets"}, "sign", false, everyMember},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			namespace := allKindsNamespace
			if tc.cluster {
				namespace = ""
			}
			want := len(bed.members)
			if tc.want == oneMember {
				want = 1
			}
			eventually(t, propagation, name+" to be in "+string(tc.want), func(ctx context.Context) error {
				homes, err := homesOf(ctx, tc.resource, namespace, tc.name)
				if err != nil {
					return err
				}
				if len(homes) != want {
					return fmt.Errorf("%s: it is in %v", tc.reason, homes)
				}
				return nil
			})
		})
	}
}

// homesOf are the members that have an object.
func homesOf(ctx context.Context, resource schema.GroupVersionResource, namespace, name string) ([]string, error) {
	var homes []string
	for _, m := range bed.members {
		config, err := m.RESTConfig()
		if err != nil {
			return nil, err
		}
		memberClient, err := dynamic.NewForConfig(config)
		if err != nil {
			return nil, err
		}
		_, err = memberClient.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			homes = append(homes, m.Name())
		case !apierrors.IsNotFound(err):
			return nil, fmt.Errorf("read %s %s from %s: %w", resource.Resource, name, m.Name(), err)
		}
	}
	return homes, nil
}

// quiet is how long nothing must happen before the members count as settled, and
// how long a write that must not come is waited for.
const quiet = 3 * time.Second

// settle waits until the fleet writes nothing more about the space to the members
// and marks that point in their audit logs.
func (s *space) settle(t *testing.T) map[string]witness.Mark {
	t.Helper()
	marks := map[string]witness.Mark{}
	since := time.Now()
	restart := func() error {
		since = time.Now()
		for _, m := range bed.members {
			mark, err := m.audit.Mark()
			if err != nil {
				return err
			}
			marks[m.Name()] = mark
		}
		return nil
	}
	if err := restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, propagation, "the members to settle", func(context.Context) error {
		writes, err := s.writes(marks)
		if err != nil {
			return err
		}
		if len(writes) > 0 {
			return fmt.Errorf("the fleet still writes: %s (%w)", writes[len(writes)-1], restart())
		}
		if time.Since(since) < quiet {
			return fmt.Errorf("quiet for %s only", time.Since(since))
		}
		return nil
	})
	return marks
}

// writes are the fleet's writes to members about the space since the marks.
func (s *space) writes(marks map[string]witness.Mark) ([]witness.Write, error) {
	about := func(w witness.Write) bool {
		return w.Namespace == s.namespace || w.Name == s.namespace || w.Name == allKindsCRD
	}
	var out []witness.Write
	for _, m := range bed.members {
		writes, err := m.audit.Since(marks[m.Name()], about)
		if err != nil {
			return nil, err
		}
		out = append(out, writes...)
	}
	return out, nil
}

// checkNoWrites checks that nothing about the space is written to the members.
func (s *space) checkNoWrites(t *testing.T, marks map[string]witness.Mark) {
	t.Helper()
	throughout(t, quiet, "no writes to the members", func(context.Context) error {
		writes, err := s.writes(marks)
		if err != nil {
			return err
		}
		if len(writes) > 0 {
			return fmt.Errorf("the fleet wrote:\n%s", witness.Lines(writes))
		}
		return nil
	})
}

// checkUnchanged checks the output of a second apply. kubectl sends the selector
// of a PodDisruptionBudget each time, its patch strategy being "replace", and so
// calls it configured on every cluster, changed or not.
func (s *space) checkUnchanged(t *testing.T, output string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) != 17 {
		t.Errorf("second apply: want 17 lines, got %d", len(lines))
	}
	changed := slices.DeleteFunc(lines, func(line string) bool {
		return strings.HasSuffix(line, " unchanged") || line == "poddisruptionbudget.policy/web configured"
	})
	if len(changed) > 0 {
		t.Errorf("second apply: every object is unchanged, got\n%s", strings.Join(changed, "\n"))
	}
}

// TestApplyConflict applies with a second manager, in the fleet and in a cluster.
func TestApplyConflict(t *testing.T) {
	t.Parallel()
	const (
		deployment = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: %d, selector: {matchLabels: {app: web}}, " +
			"template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: nginx}]}}}}"
		replicasOnly = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 3}}"
	)
	cases := map[string]struct {
		reason  string
		manager string
		args    []string
	}{
		"ServerSideFirst": {"conflict with a manager that applied", "first", []string{"--server-side", "--field-manager=first"}},
		"ClientSideFirst": {"conflict with a manager that updated", "kubectl-client-side-apply", nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			outcomes := map[string]outcome{}
			for place, s := range map[string]*space{"fleet": newSpace(t), "member": newReference(t)} {
				if out := s.kubectlStdin(t, fmt.Sprintf(deployment, 2), append([]string{"apply", "-f", "-"}, tc.args...)...); out.code != 0 {
					t.Fatalf("first apply: %s", out.stderr)
				}
				outcomes[place] = s.kubectlStdin(t, replicasOnly, "apply", "--server-side", "--field-manager=second", "-f", "-")
			}
			if diff := cmp.Diff(outcomes["member"], outcomes["fleet"], cmp.AllowUnexported(outcome{})); diff != "" {
				t.Errorf("%s: -member +fleet:\n%s", tc.reason, diff)
			}
			want := `conflict with "` + tc.manager + `"`
			if out := outcomes["fleet"]; out.code == 0 || !strings.Contains(out.stderr, want) {
				t.Errorf("%s: want an error with %s, got %d %s", tc.reason, want, out.code, out.stderr)
			}
		})
	}
}
