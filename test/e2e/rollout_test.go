// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/test/e2e/witness"
)

// TestRollout takes a Deployment through everything "kubectl rollout" can do. The
// steps build on one another.
func TestRollout(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	mark, err := bed.fleetAudit.Mark()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	s.kubectl(t, "create", "deployment", "web", "--image=nginx:1", "--replicas=4")
	s.kubectl(t, "annotate", "deployment", "web", "kubernetes.io/change-cause=first")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=90s")
	s.awaitRevisions(t, "one revision that runs", "nginx:1 is 1: 4 4 4")
	s.checkRecording(t, mark, time.Since(started))
	s.checkSameNames(t)

	t.Run("Undo", s.checkUndo)
	t.Run("Pause", s.checkPause)
	t.Run("Restart", func(t *testing.T) {
		s.kubectl(t, "rollout", "restart", "deployment/web")
		s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=90s")
		s.checkImage(t, "app=web", "nginx:4", 4)
		if got := len(s.history(t, "deployment/web")); got != 4 {
			t.Errorf("a restart is a revision: want 4, got %d", got)
		}
	})
	t.Run("Limit", func(t *testing.T) {
		s.kubectl(t, "patch", "deployment", "web", "--patch", `{"spec":{"revisionHistoryLimit":1}}`)
		eventually(t, propagation, "older revisions to go", func(context.Context) error {
			if got := s.history(t, "deployment/web"); len(got) != 2 {
				return fmt.Errorf("want two, got %v", got)
			}
			return nil
		})
	})
	t.Run("Orphan", s.checkOrphan)
}

// checkRecording checks what a first rollout, and a change of annotations, cost beyond what
// they cost anyway: a record, that change, numbers at the end and, until then, once a second.
func (s *space) checkRecording(t *testing.T, mark witness.Mark, took time.Duration) {
	t.Helper()
	writes, err := bed.fleetAudit.Since(mark, func(w witness.Write) bool {
		return w.Namespace == s.namespace && w.Resource == "replicasets" && w.Code < 300
	})
	if err != nil {
		t.Fatal(err)
	}
	created := len(slices.DeleteFunc(slices.Clone(writes), func(w witness.Write) bool { return w.Verb != "create" }))
	if most := 4 + int(took.Seconds()); created != 1 || len(writes) > most {
		t.Errorf("a revision is recorded once, with %d writes at most in %s:\n%s", most, took, witness.Lines(writes))
	}
}

// checkUndo updates to an image that cannot be pulled, and takes it back.
func (s *space) checkUndo(t *testing.T) {
	s.kubectl(t, "patch", "deployment", "web", "--patch", `{"spec":{"progressDeadlineSeconds":5}}`)
	s.kubectl(t, "set", "image", "deployment/web", "nginx=nginx:404")
	s.kubectl(t, "annotate", "deployment", "web", "kubernetes.io/change-cause=bad", "--overwrite")
	eventually(t, propagation, "both members to try the bad image", func(ctx context.Context) error {
		for _, m := range bed.members {
			pods, err := m.memberClient.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
			if err != nil {
				return err
			}
			if len(pods.Items) < 3 {
				return fmt.Errorf("%s has %d pods", m.Name(), len(pods.Items))
			}
		}
		return nil
	})
	if out := s.tryKubectl(t, "rollout", "status", "deployment/web", "--timeout=90s"); out.code == 0 || !strings.Contains(out.stderr, "exceeded its progress deadline") {
		t.Errorf("a rollout that is stuck exceeds its deadline: %d %s%s", out.code, out.stdout, out.stderr)
	}
	s.kubectl(t, "patch", "deployment", "web", "--patch", `{"spec":{"progressDeadlineSeconds":600}}`)
	history := s.history(t, "deployment/web")
	if diff := cmp.Diff([]string{"1 first", "2 bad"}, history); diff != "" {
		t.Errorf("history names revisions and why they are: -want +got:\n%s", diff)
	}
	if out := s.kubectl(t, "rollout", "history", "deployment/web", "--revision=2"); !strings.Contains(out, "nginx:404") {
		t.Errorf("a revision can be looked at: %s", out)
	}

	s.kubectl(t, "rollout", "undo", "deployment/web")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=90s")
	s.checkImage(t, "app=web", "nginx:1", 4)
	if out := s.kubectl(t, "get", "deployment", "web", "--output=jsonpath={.metadata.annotations}"); strings.Contains(out, "fleet.dev") {
		t.Errorf("what the fleet notes about revisions does not get into the deployment: %s", out)
	}
	s.awaitRevisions(t, "the first one to be the newest", "nginx:1 is 3: 4 4 4", "nginx:404 is 2: 0 0 0")
	describe := s.kubectl(t, "describe", "deployment", "web")
	if !strings.Contains(describe, "(4/4 replicas created)") || !strings.Contains(describe, "OldReplicaSets:  web-") {
		t.Errorf("describe tells the revisions:\n%s", describe)
	}
}

// checkPause changes a Deployment that is paused, in which nothing happens until it is
// resumed.
func (s *space) checkPause(t *testing.T) {
	s.kubectl(t, "rollout", "pause", "deployment/web")
	s.kubectl(t, "set", "image", "deployment/web", "nginx=nginx:4")
	eventually(t, propagation, "the members to hear of it", func(ctx context.Context) error {
		deployments, err := s.deployments(ctx, "web")
		if err != nil {
			return err
		}
		for m, d := range deployments {
			if !d.Spec.Paused || d.Spec.Template.Spec.Containers[0].Image != "nginx:4" || d.Status.ObservedGeneration < d.Generation {
				return fmt.Errorf("%s has not", m)
			}
		}
		return nil
	})
	s.checkImage(t, "app=web", "nginx:1", 4)
	if got := s.history(t, "deployment/web"); len(got) != 2 {
		t.Errorf("what is not rolled out is no revision: got %v", got)
	}
	s.kubectl(t, "rollout", "resume", "deployment/web")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=90s")
	s.checkImage(t, "app=web", "nginx:4", 4)
	s.awaitRevisions(t, "a third revision", "nginx:1 is 3: 0 0 0", "nginx:4 is 4: 4 4 4", "nginx:404 is 2: 0 0 0")
	// The Deployment itself says which revision it is.
	s.kubectl(t, "rollout", "status", "deployment/web", "--revision=4", "--timeout=90s")
	if out := s.tryKubectl(t, "rollout", "status", "deployment/web", "--revision=3", "--timeout=90s"); out.code == 0 {
		t.Errorf("the status of an earlier revision is refused, as in a cluster: got %s", out.stdout)
	}
}

// checkOrphan deletes the Deployment but not what it made. Its records are nobody's
// then, and run nothing.
func (s *space) checkOrphan(t *testing.T) {
	before, err := s.readyPods(t.Context(), "app=web")
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "delete", "deployment", "web", "--cascade=orphan")
	s.kubectl(t, "get", "replicasets", "--selector=app=web", "--output=name")
	s.kubectl(t, "create", "deployment", "last", "--image=nginx", "--replicas=2")
	s.kubectl(t, "rollout", "status", "deployment/last", "--timeout=90s")
	after, err := s.readyPods(t.Context(), "app=web")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(podUIDs(before), podUIDs(after)); diff != "" {
		t.Errorf("pods run on, and no others: -before +after:\n%s", diff)
	}
	bindings := s.kubectl(t, "get", "resourcebindings", "--output=name")
	if strings.Contains(bindings, "-replicaset") {
		t.Errorf("records of revisions go nowhere, got %s", bindings)
	}
	for _, m := range bed.members {
		err := m.memberClient.AppsV1().Deployments(s.namespace).Delete(t.Context(), "web", metav1.DeleteOptions{})
		if err != nil {
			t.Errorf("%s keeps what was left to it: %v", m.Name(), err)
		}
	}
}

// podUIDs are the uids of Pods, in order.
func podUIDs(pods map[string][]corev1.Pod) []string {
	var found []string
	for _, list := range pods {
		for _, pod := range list {
			found = append(found, string(pod.UID))
		}
	}
	slices.Sort(found)
	return found
}

// history are the lines of "kubectl rollout history", number and cause.
func (s *space) history(t *testing.T, workload string) []string {
	t.Helper()
	var got []string
	for line := range strings.Lines(s.kubectl(t, "rollout", "history", workload)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.ContainsAny(fields[0][:1], "123456789") {
			got = append(got, strings.Join(fields, " "))
		}
	}
	return got
}

// awaitRevisions waits for the fleet to have certain ReplicaSets: their image, number,
// and the replicas that are wanted, there and ready.
func (s *space) awaitRevisions(t *testing.T, what string, want ...string) {
	t.Helper()
	eventually(t, propagation, what, func(ctx context.Context) error {
		sets, err := s.kube.AppsV1().ReplicaSets(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		var got []string
		for _, rs := range sets.Items {
			got = append(got, fmt.Sprintf("%s is %s: %d %d %d", rs.Spec.Template.Spec.Containers[0].Image,
				rs.Annotations["deployment.kubernetes.io/revision"], *rs.Spec.Replicas, rs.Status.Replicas, rs.Status.ReadyReplicas))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("replica sets: -want +got:\n%s", diff)
		}
		return nil
	})
}

// checkSameNames checks that the fleet's ReplicaSet has the name of the members', and the
// stamp of their Pods.
func (s *space) checkSameNames(t *testing.T) {
	t.Helper()
	own, err := s.kube.AppsV1().ReplicaSets(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(own.Items) != 1 {
		t.Fatalf("want one replica set in the fleet, got %v (%v)", own, err)
	}
	for _, m := range bed.members {
		sets, err := m.memberClient.AppsV1().ReplicaSets(s.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(sets.Items) != 1 {
			t.Fatalf("want one replica set in %s, got %v (%v)", m.Name(), sets, err)
		}
		name := func(rs *appsv1.ReplicaSet, label string) string { return rs.Name + " " + rs.Labels[label] }
		want, got := name(&own.Items[0], wellknown.LabelRevision), name(&sets.Items[0], wellknown.LabelTemplate)
		if want != got {
			t.Errorf("name and stamp of the replica set in %s: want %s, got %s", m.Name(), want, got)
		}
	}
}

// TestRolloutOfSets undoes updates of a StatefulSet and a DaemonSet.
func TestRolloutOfSets(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	manifest := `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: nginx, image: "nginx:1"}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: nginx, image: "nginx:1"}]}
`
	if out := s.kubectlStdin(t, manifest, "apply", "-f", "-"); out.code != 0 {
		t.Fatalf("apply: %s", out.stderr)
	}
	for workload, tc := range map[string]struct {
		selector string
		pods     int
	}{"daemonset/web": {"app=agent", 4}, "statefulset/web": {"app=db", 2}} {
		t.Run(workload, func(t *testing.T) {
			t.Parallel()
			s.kubectl(t, "rollout", "status", workload, "--timeout=90s")
			s.kubectl(t, "set", "image", workload, "nginx=nginx:2")
			s.kubectl(t, "rollout", "status", workload, "--timeout=90s")
			s.checkImage(t, tc.selector, "nginx:2", tc.pods)
			if got := len(s.history(t, workload)); got != 2 {
				t.Errorf("want two revisions, got %d", got)
			}

			s.kubectl(t, "rollout", "undo", workload)
			s.kubectl(t, "rollout", "status", workload, "--timeout=90s")
			s.checkImage(t, tc.selector, "nginx:1", tc.pods)
			eventually(t, propagation, "the first revision to be the newest", func(context.Context) error {
				if got := s.history(t, workload); len(got) != 2 || !strings.HasPrefix(got[1], "3 ") {
					return fmt.Errorf("got %v", got)
				}
				return nil
			})
			s.kubectl(t, "rollout", "restart", workload)
			s.kubectl(t, "rollout", "status", workload, "--timeout=90s")
		})
	}
}
