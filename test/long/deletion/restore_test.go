// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletion

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/test/e2e/witness"
)

const (
	// restoredCount is how many workloads etcd does not remember.
	restoredCount = 100
	// promoted of them are taken back with "fleet promote", the others by storing them
	// again.
	promoted = 50
	// still is how long nothing may be deleted after etcd went back.
	still = 30 * time.Second
)

// TestRestore restores etcd from a snapshot that was taken before 100 workloads were
// created. They go on running, are reported, and are the fleet's again without a
// restart of a Pod when they are stored again or promoted.
func TestRestore(t *testing.T) {
	const namespace = "restored"
	newNamespace(t, namespace)
	// The snapshot knows the namespace, and has something in it.
	createDeployments(t, namespace, []string{"before"})
	awaitRunning(t, namespace, 1)
	snapshot := filepath.Join(t.TempDir(), "etcd")
	stopFleet(t)
	if err := os.CopyFS(snapshot, os.DirFS(etcdData())); err != nil {
		t.Fatal(err)
	}
	startFleet(t)
	forget(t, namespace, loss{
		lose: func() error {
			return errors.Join(os.RemoveAll(etcdData()), os.CopyFS(etcdData(), os.DirFS(snapshot)))
		},
		join: func(*testing.T) {},
	})
}

// TestEmptyEtcd loses etcd altogether. The members are joined again, to the same fleet.
func TestEmptyEtcd(t *testing.T) {
	const namespace = "lost"
	newNamespace(t, namespace)
	createDeployments(t, namespace, []string{"before"})
	forget(t, namespace, loss{
		lose: func() error { return os.RemoveAll(etcdData()) },
		join: func(t *testing.T) {
			t.Helper()
			for _, m := range bed.members {
				if m.Agent != nil {
					if err := m.Agent.Kill(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := bed.fleet.Join(t.Context(), m.Member); err != nil {
					t.Fatal(err)
				}
			}
			makeNamespace(t, namespace)
		},
		forgotten: []string{"before"},
	})
}

// loss is how etcd forgets.
type loss struct {
	// lose is called while the fleet is stopped, join when it is back.
	lose func() error
	join func(*testing.T)
	// forgotten are workloads that it forgot beside those the test is about.
	forgotten []string
}

// etcdData is where the fleet's etcd keeps its data.
func etcdData() string { return filepath.Join(bed.fleet.DataDir(), "etcd", "member") }

func stopFleet(t *testing.T) {
	t.Helper()
	if err := bed.fleet.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func startFleet(t *testing.T) {
	t.Helper()
	if err := errors.Join(bed.fleet.Start(t.Context()), bed.connect()); err != nil {
		t.Fatal(err)
	}
}

// forget creates workloads, has etcd forget them while the fleet is stopped, and takes
// them back.
func forget(t *testing.T, namespace string, by loss) {
	t.Helper()
	awaitMembers(t)
	names := numbered(restoredCount)
	createDeployments(t, namespace, names)
	awaitRunning(t, namespace, restoredCount+1)
	before := podsOf(t, namespace)
	marks := auditMarks(t)

	stopFleet(t)
	if err := by.lose(); err != nil {
		t.Fatal(err)
	}
	startFleet(t)
	by.join(t)
	awaitMembers(t)
	for _, m := range bed.members {
		t.Logf("%s reports what is unknown after %s", m.Name(), eventually(t, m.Name()+" to report what is unknown", func(ctx context.Context) error {
			return checkUnknown(ctx, m)
		}))
	}
	for _, m := range bed.members {
		if err := checkListed(t.Context(), m, namespace, restoredCount); err != nil {
			t.Error(err)
		}
	}
	<-time.After(still)
	checkKept(t, namespace, before)
	checkNothingDeleted(t, namespace, marks)

	createDeployments(t, namespace, append(by.forgotten, names[promoted:]...))
	for _, name := range names[:promoted] {
		if _, err := bed.fleet.Run(t.Context(), "promote", "deployment/"+name, "--cluster", bed.members[0].Name(), "-n", namespace); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all to be the fleet's again", func(ctx context.Context) error {
		return errors.Join(checkListed(ctx, bed.members[0], namespace, 0), checkListed(ctx, bed.members[1], namespace, promoted), checkAvailable(ctx, namespace))
	})
	checkKept(t, namespace, before)
	checkNothingDeleted(t, namespace, marks)
	release(t, namespace, names[:promoted])
}

func awaitMembers(t *testing.T) {
	t.Helper()
	eventually(t, "the members to be ready", bed.ready)
}

// podsOf are the running Pods of each member.
func podsOf(t *testing.T, namespace string) map[string]map[types.UID]int32 {
	t.Helper()
	out := map[string]map[types.UID]int32{}
	for _, m := range bed.members {
		pods, err := runningPods(t.Context(), m, namespace)
		if err != nil {
			t.Fatal(err)
		}
		out[m.Name()] = pods
	}
	return out
}

// checkKept checks that the same Pods run, none of them restarted.
func checkKept(t *testing.T, namespace string, before map[string]map[types.UID]int32) {
	t.Helper()
	now := podsOf(t, namespace)
	for name, pods := range before {
		if !maps.Equal(pods, now[name]) {
			t.Errorf("%d pods ran in %s, and %d do now that are not all the same", len(pods), name, len(now[name]))
		}
	}
}

func auditMarks(t *testing.T) map[string]witness.Mark {
	t.Helper()
	out := map[string]witness.Mark{}
	for _, m := range bed.members {
		mark, err := m.audit.Mark()
		if err != nil {
			t.Fatal(err)
		}
		out[m.Name()] = mark
	}
	return out
}

// checkNothingDeleted checks that nobody asked a member to delete anything there.
func checkNothingDeleted(t *testing.T, namespace string, marks map[string]witness.Mark) {
	t.Helper()
	for _, m := range bed.members {
		deletions, err := m.audit.Since(marks[m.Name()], func(w witness.Write) bool {
			return strings.HasPrefix(w.Verb, "delete") && (w.Namespace == namespace || w.Name == namespace)
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(deletions) > 0 {
			t.Errorf("deletions in %s:\n%s", m.Name(), witness.Lines(deletions))
		}
	}
}

// checkUnknown checks that the Cluster tells of what is unknown, the workloads at
// least.
func checkUnknown(ctx context.Context, m *member) error {
	cluster, err := bed.clients.fleet.ClusterV1alpha1().Clusters().Get(ctx, m.Name(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	condition := meta.FindStatusCondition(cluster.Status.Conditions, clusterv1alpha1.ClusterConditionUnknownObjects)
	if condition == nil || condition.Status != metav1.ConditionTrue {
		return fmt.Errorf("condition of cluster %s: %v", m.Name(), condition)
	}
	var count int
	if _, err := fmt.Sscanf(condition.Message, "%d objects ", &count); err != nil || count < restoredCount {
		return fmt.Errorf("%d objects of %s are unknown, want %d: %s", count, m.Name(), restoredCount, condition.Message)
	}
	return nil
}

// checkListed checks how many objects of the namespace "fleet get unknown" lists.
func checkListed(ctx context.Context, m *member, namespace string, want int) error {
	out, err := bed.fleet.Run(ctx, "get", "unknown", "--cluster", m.Name(), "-n", namespace)
	if err != nil {
		return err
	}
	if got := strings.Count(out, " web-"); got != want {
		return fmt.Errorf("%d objects of %s are listed, want %d:\n%s", got, m.Name(), want, out)
	}
	return nil
}

// checkAvailable checks that the fleet knows that everything runs.
func checkAvailable(ctx context.Context, namespace string) error {
	list, err := bed.kube.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		if list.Items[i].Status.AvailableReplicas != 1 {
			return fmt.Errorf("deployment %s is not available", list.Items[i].Name)
		}
	}
	if len(list.Items) != restoredCount+1 {
		return fmt.Errorf("%d deployments, want %d", len(list.Items), restoredCount+1)
	}
	return nil
}

// release deletes what is left in the second member of what was promoted from the
// first: it is nobody's.
func release(t *testing.T, namespace string, names []string) {
	t.Helper()
	for _, name := range names {
		err := bed.members[1].kube.AppsV1().Deployments(namespace).Delete(t.Context(), name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}
