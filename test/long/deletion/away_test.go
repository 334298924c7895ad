// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletion

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/test/e2e/witness"
)

const (
	// awayCount is how many workloads are deleted while a member is away.
	awayCount = 500
	// cleanWithin is how soon a member that answers must have none of them.
	cleanWithin = 10 * time.Second
	// atOnce is how soon the user gets an answer, and does not see it any more.
	atOnce = 5 * time.Second
)

// TestDeleteWhileMemberIsAway deletes 500 workloads while one of two members is
// down. The user does not see them any more, the other member is clean soon, and the
// one that was down soon after its return; then etcd has nothing of them.
func TestDeleteWhileMemberIsAway(t *testing.T) {
	const namespace = "away"
	newNamespace(t, namespace)
	t.Logf("%d workloads run in each member after %s", awayCount, timed(func() {
		createDeployments(t, namespace, numbered(awayCount))
		awaitRunning(t, namespace, awayCount)
	}))
	near, far := bed.members[0], bed.members[1]
	if err := far.APIServer.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	slowest := deleteDeployments(t, namespace, numbered(awayCount))
	within(t, "the slowest deletion was answered", slowest, atOnce)
	if err := checkDeployments(t.Context(), bed.clients, namespace, 0); err != nil {
		t.Errorf("the user still sees them: %v", err)
	}
	t.Logf("all were deleted after %s", time.Since(began).Round(10*time.Millisecond))
	deleted := time.Now()
	eventually(t, near.Name()+" to have none of them", func(ctx context.Context) error {
		return checkDeployments(ctx, near.clients, namespace, 0)
	})
	within(t, near.Name()+" is clean", time.Since(deleted), cleanWithin)
	checkTombstones(t, namespace, far.Name())

	if err := far.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	returned := time.Now()
	eventually(t, far.Name()+" to have none of them", func(ctx context.Context) error {
		return checkDeployments(ctx, far.clients, namespace, 0)
	})
	within(t, far.Name()+" is clean after its return", time.Since(returned), cleanWithin)
	t.Logf("etcd has nothing of them %s after that", eventually(t, "etcd to have nothing of them", func(ctx context.Context) error {
		return checkForgotten(ctx, namespace)
	}))
}

// deleteDeployments deletes them as "kubectl delete" does, some at a time, and returns
// how long the slowest took.
func deleteDeployments(t *testing.T, namespace string, names []string) time.Duration {
	t.Helper()
	took := make([]time.Duration, len(names))
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(together)
	background := metav1.DeletePropagationBackground
	for i, name := range names {
		group.Go(func() error {
			began := time.Now()
			defer func() { took[i] = time.Since(began) }()
			return bed.kube.AppsV1().Deployments(namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return slices.Max(took)
}

// within says how long something took, and fails the test when that is too long.
func within(t *testing.T, what string, took, most time.Duration) {
	t.Helper()
	t.Logf("%s after %s", what, took.Round(10*time.Millisecond))
	if took > most {
		t.Errorf("%s after %s, want %s", what, took.Round(10*time.Millisecond), most)
	}
}

func timed(do func()) time.Duration {
	began := time.Now()
	do()
	return time.Since(began).Round(100 * time.Millisecond)
}

// checkTombstones checks that every workload is remembered for the member that is
// away, and for no other.
func checkTombstones(t *testing.T, namespace, away string) {
	t.Helper()
	eventually(t, "tombstones for "+away+" alone", func(ctx context.Context) error {
		bindings, err := bed.clients.fleet.WorkV1alpha1().ResourceBindings(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		found := 0
		for i := range bindings.Items {
			spec := &bindings.Items[i].Spec
			if spec.Resource.Kind != "Deployment" {
				continue
			}
			if found++; len(spec.Clusters) > 0 || len(spec.Tombstones) != 1 || spec.Tombstones[0].ClusterName != away {
				return fmt.Errorf("binding %s: members %v, tombstones %v", bindings.Items[i].Name, spec.Clusters, spec.Tombstones)
			}
		}
		if found != awayCount {
			return fmt.Errorf("%d bindings, want %d", found, awayCount)
		}
		return nil
	})
}

// checkForgotten checks that etcd has no key of a workload of the namespace. Events
// of the past stay for an hour.
func checkForgotten(ctx context.Context, namespace string) error {
	etcd, err := witness.DialEtcd(bed.fleet.DataDir())
	if err != nil {
		return err
	}
	keys, err := etcd.Keys(ctx, "/"+namespace+"/web-")
	if closed := etcd.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "/registry/events/") {
			return fmt.Errorf("etcd has %s", key)
		}
	}
	return nil
}
