// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// TestPods works with the Pods that members made, on the fleet, as if it were the
// cluster that runs them.
func TestPods(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.kubectl(t, "create", "deployment", "web", "--image=nginx", "--replicas=4")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")

	t.Run("List", func(t *testing.T) {
		eventually(t, propagation, "all pods of the members to be listed", func(ctx context.Context) error { return s.checkShown(ctx, "app=web", 4) })
		table := strings.Split(strings.TrimSpace(s.kubectl(t, "get", "pods", "--selector=app=web", "--output=wide")), "\n")
		if len(table) != 5 || !strings.HasPrefix(table[0], "NAME ") || !strings.Contains(table[1], "1/1") || !strings.Contains(table[1], "Running") {
			t.Errorf("kubectl get pods shows four of them, running:\n%s", strings.Join(table, "\n"))
		}
	})
	t.Run("Selectors", s.checkPodSelectors)
	t.Run("Logs", func(t *testing.T) {
		logs := s.kubectl(t, "logs", "--selector=app=web")
		if got := strings.Count(logs, "starting\n"); got != 4 {
			t.Errorf("four Pods say that they start, got %d:\n%s", got, logs)
		}
	})
	t.Run("Owners", func(t *testing.T) {
		s.checkOwners(t, 4)
		pod, _, _ := strings.Cut(s.kubectl(t, "get", "pods", "--selector=app=web", "--output=name"), "\n")
		if out := s.kubectl(t, "describe", pod); !strings.Contains(out, "Controlled By:  ReplicaSet/web-") {
			t.Errorf("describe tells who made a pod:\n%s", out)
		}
		node := s.kubectl(t, "get", pod, "--output=jsonpath={.spec.nodeName}")
		// What nobody would replace is not drained without --force.
		if out := s.kubectl(t, "drain", node, "--dry-run=client", "--pod-selector=app=web"); !strings.Contains(out, "evicting pod") {
			t.Errorf("a node of a member can be drained: %s", out)
		}
	})
	t.Run("Events", s.checkEvents)
	t.Run("Watch", s.checkPodWatch)
	t.Run("Delete", s.checkPodDelete)
	t.Run("Nowhere", func(t *testing.T) {
		if out := s.tryKubectl(t, "logs", "nope"); out.code == 0 || !strings.Contains(out.stderr, `pods "nope" not found`) {
			t.Errorf("a pod that does not exist is not found, got %d %s", out.code, out.stderr)
		}
	})
}

// TestPodVerbs enters Pods of each member, on the fleet.
func TestPodVerbs(t *testing.T) {
	t.Parallel()
	for _, m := range bed.members {
		t.Run(m.Name(), func(t *testing.T) {
			s := newSpace(t)
			s.pinToEach(t)
			s.createPinned(t, m.Name(), "web", 1)
			newReach(m, s.namespace).checkPodVerbs(t, s.command)
		})
	}
}

// TestBarePods runs Pods of nobody, in each member, as if the fleet were the cluster that
// runs them.
func TestBarePods(t *testing.T) {
	t.Parallel()
	for _, m := range bed.members {
		t.Run(m.Name(), func(t *testing.T) {
			t.Parallel()
			s := newSpace(t)
			s.pinToEach(t)
			s.kubectl(t, "run", "web", "--image=nginx", "--labels=app=web,"+homeLabel+"="+m.Name(),
				`--overrides={"spec":{"containers":[{"name":"web","image":"nginx","resources":{"requests":{"cpu":"10m"}}}]}}`)
			s.kubectl(t, "wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
			t.Run("Node", func(t *testing.T) { s.checkBareNode(t, m) })
			t.Run("Chosen", func(t *testing.T) { s.checkChosenNode(t, m) })
			r := newReach(m, s.namespace)
			r.target = "pod/web"
			r.checkPodVerbs(t, s.command)
			t.Run("Attach", func(t *testing.T) { r.checkAttach(t, s.command) })
			t.Run("Copy", func(t *testing.T) { s.checkBareCopy(t) })
			t.Run("Change", func(t *testing.T) { s.checkBareChange(t, m) })
			t.Run("Delete", func(t *testing.T) { s.checkBareDelete(t, m) })
		})
	}
}

// checkBareNode checks that the fleet shows where a Pod runs, as the member has it.
func (s *space) checkBareNode(t *testing.T, m *member) {
	t.Helper()
	pod, err := m.memberClient.CoreV1().Pods(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node := pod.Spec.NodeName + "." + m.Name()
	if out := s.kubectl(t, "get", "pods", "--output=wide"); !strings.Contains(out, node) || !strings.Contains(out, "1/1") || strings.Count(out, "web") != 1 {
		t.Errorf("want one pod on %s, got\n%s", node, out)
	}
	if out := s.kubectl(t, "get", "pods", "--field-selector=spec.nodeName="+node, "--output=name"); out != "pod/web\n" {
		t.Errorf("want the pod of node %s, got %q", node, out)
	}
	const account = "--output=jsonpath={.spec.serviceAccountName} {.spec.volumes[*].name}"
	if out := s.kubectl(t, "get", "pod", "web", account); out != "default "+pod.Spec.Volumes[0].Name {
		t.Errorf("want the service account and the token of the member's pod, %q, got %q", pod.Spec.Volumes[0].Name, out)
	}
	if out := s.kubectl(t, "describe", "node", node); !strings.Contains(out, s.namespace) {
		t.Errorf("the pod is among those of node %s, got\n%s", node, out)
	}
	eventually(t, propagation, "describe to show the events of the pod", func(context.Context) error {
		if out := s.kubectl(t, "describe", "pod", "web"); !strings.Contains(out, ": Successfully assigned ") || !strings.Contains(out, node) {
			return errors.New(out)
		}
		return nil
	})
}

// checkChosenNode has Pods run on a node that is named as the fleet does.
func (s *space) checkChosenNode(t *testing.T, m *member) {
	t.Helper()
	node := s.kubectl(t, "get", "pod", "web", "--output=jsonpath={.spec.nodeName}")
	host := s.kubectl(t, "get", "node", node, `--output=jsonpath={.metadata.labels.kubernetes\.io/hostname}`)
	s.kubectl(t, "debug", "node/"+node, "--image=busybox", "--", "sleep", "1d")
	s.kubectl(t, "run", "chosen", "--image=nginx", "--labels=app.kubernetes.io/managed-by=kubectl-debug",
		`--overrides={"spec":{"nodeSelector":{"kubernetes.io/hostname":"`+host+`"}}}`)
	const debuggers = "--selector=app.kubernetes.io/managed-by=kubectl-debug"
	s.kubectl(t, "wait", "pods", debuggers, "--for=condition=Ready", "--timeout=60s")
	pods, err := m.memberClient.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: strings.TrimPrefix(debuggers, "--selector=")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		if got := pods.Items[i].Spec.NodeName + "." + m.Name(); got != node {
			t.Errorf("pod %s is on node %s, want %s", pods.Items[i].Name, got, node)
		}
	}
	if len(pods.Items) != 2 {
		t.Errorf("want both pods in %s, got %d", m.Name(), len(pods.Items))
	}
	s.kubectl(t, "delete", "pods", debuggers, "--timeout=60s")
}

// checkBareCopy copies a file out of a Pod, whose commands run on this machine.
func (s *space) checkBareCopy(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "copied")
	s.kubectl(t, "cp", s.namespace+"/web:/etc/hostname", file)
	got, err := os.ReadFile(file)
	want, wantErr := os.ReadFile("/etc/hostname")
	if err := errors.Join(err, wantErr); err != nil || string(got) != string(want) {
		t.Errorf("want a copy of the file, got %q, %v", got, err)
	}
}

// checkBareChange changes a Pod that runs.
func (s *space) checkBareChange(t *testing.T, m *member) {
	t.Helper()
	s.kubectl(t, "label", "pod", "web", "tier=front")
	s.kubectl(t, "annotate", "pod", "web", "example.com/note=hi")
	s.kubectl(t, "debug", "pod/web", "--image=busybox", "--container=debugger", "--", "sleep", "1d")
	if out := s.kubectl(t, "get", "pod", "web", "--output=jsonpath={.spec.ephemeralContainers[*].name}"); out != "debugger" {
		t.Errorf("want the debugger in the pod, got %q", out)
	}
	s.awaitResizable(t, m)
	s.kubectl(t, "patch", "pod", "web", "--subresource=resize", "--patch",
		`{"spec":{"containers":[{"name":"web","resources":{"requests":{"cpu":"20m"}}}]}}`)
	eventually(t, propagation, "the member's pod to be as the fleet's", func(ctx context.Context) error {
		pod, err := m.memberClient.CoreV1().Pods(s.namespace).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(pod.Spec.EphemeralContainers) != 1 || pod.Spec.Containers[0].Resources.Requests.Cpu().String() != "20m" ||
			pod.Labels["tier"] != "front" || pod.Annotations["example.com/note"] != "hi" {
			return fmt.Errorf("got %v %v %v", pod.ObjectMeta, pod.Spec.EphemeralContainers, pod.Spec.Containers)
		}
		return nil
	})
	eventually(t, propagation, "a pod to be replaced by what was read, unless it has changed since", func(context.Context) error {
		manifest := s.kubectl(t, "get", "pod", "web", "--output=yaml")
		if out := s.kubectlStdin(t, strings.ReplaceAll(manifest, "tier: front", "tier: back"), "replace", "--filename=-"); out.code != 0 {
			return errors.New(out.stderr)
		}
		return nil
	})
	bad := `{"spec":{"ephemeralContainers":[{"name":"debugger","image":"other"}]}}`
	if out := s.tryKubectl(t, "patch", "pod", "web", "--subresource=ephemeralcontainers", "--patch", bad); out.code == 0 {
		t.Errorf("a container that is there cannot be changed, got %s", out.stdout)
	}
}

// awaitResizable has a node be one that can resize the Pod, which kwok's do not say of
// themselves, and waits until the fleet knows.
func (s *space) awaitResizable(t *testing.T, m *member) {
	t.Helper()
	status := `{"status":{"containerStatuses":[{"name":"web","resources":{"requests":{"cpu":"10m"}}}]}}`
	if _, err := m.memberClient.CoreV1().Pods(s.namespace).Patch(t.Context(), "web", types.StrategicMergePatchType,
		[]byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "wait", "pod/web", "--for=jsonpath={.status.containerStatuses[0].resources.requests.cpu}=10m", "--timeout=60s")
}

// checkBareDelete deletes Pods, which are there until their member has ended them.
func (s *space) checkBareDelete(t *testing.T, m *member) {
	t.Helper()
	// Held in the member, the Pod is terminating in both.
	hold := func(finalizers string) {
		t.Helper()
		if _, err := m.memberClient.CoreV1().Pods(s.namespace).Patch(t.Context(), "web", types.MergePatchType,
			[]byte(`{"metadata":{"finalizers":`+finalizers+`}}`), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	hold(`["example.com/hold"]`)
	s.kubectl(t, "delete", "pod", "web", "--wait=false")
	eventually(t, propagation, "the member to end the pod", func(ctx context.Context) error {
		pod, err := m.memberClient.CoreV1().Pods(s.namespace).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && pod.DeletionTimestamp == nil {
			err = errors.New("nobody told the member")
		}
		return err
	})
	if out := s.kubectl(t, "get", "pod", "web"); !strings.Contains(out, "Terminating") && !strings.Contains(out, "Completed") {
		t.Errorf("want the pod terminating while the member has it, got\n%s", out)
	}
	hold("null")
	s.kubectl(t, "wait", "pod/web", "--for=delete", "--timeout=60s")

	labels := "--labels=" + homeLabel + "=" + m.Name()
	s.kubectl(t, "run", "again", "--image=nginx", labels)
	s.kubectl(t, "wait", "pod/again", "--for=condition=Ready", "--timeout=60s")
	s.kubectl(t, "delete", "pod", "again", "--now", "--timeout=60s")
	if _, err := m.memberClient.CoreV1().Pods(s.namespace).Get(t.Context(), "again", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a pod that was deleted, and waited for, is gone from its member: %v", err)
	}
	s.kubectl(t, "run", "now", "--image=nginx", labels)
	s.kubectl(t, "wait", "pod/now", "--for=condition=Ready", "--timeout=60s")
	s.kubectl(t, "delete", "pod", "now", "--grace-period=0", "--force", "--timeout=60s")
	s.kubectl(t, "run", "evicted", "--image=nginx", labels)
	s.kubectl(t, "wait", "pod/evicted", "--for=condition=Ready", "--timeout=60s")
	path := "/api/v1/namespaces/" + s.namespace + "/pods/evicted/eviction"
	if out := s.kubectlStdin(t, `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"evicted"}}`, "create", "--raw="+path, "--filename=-"); out.code != 0 {
		t.Errorf("evict a pod: %s", out.stderr)
	}
	s.kubectl(t, "wait", "pod/evicted", "--for=delete", "--timeout=60s")
	// One that has ended goes at once.
	s.kubectl(t, "run", "once", "--image=busybox", labels, "--restart=Never", "--command", "--", "true")
	s.kubectl(t, "wait", "pod/once", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
	s.kubectl(t, "delete", "pod", "once", "--timeout=60s")
	eventually(t, propagation, "all pods to be gone", func(ctx context.Context) error {
		pods, err := m.memberClient.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(pods.Items) > 0 {
			err = fmt.Errorf("%s has %d pods", m.Name(), len(pods.Items))
		}
		return err
	})
}

// TestJobVerbs looks at what Jobs said, by their names.
func TestJobVerbs(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.kubectl(t, "create", "cronjob", "nightly", "--image=busybox", "--schedule=0 0 1 1 *", "--", "true")
	s.kubectl(t, "create", "job", "tonight", "--from=cronjob/nightly")
	s.kubectl(t, "wait", "job/tonight", "--for=condition=Complete", "--timeout=60s")
	eventually(t, propagation, "the pod of the job to be shown", func(context.Context) error {
		if out := s.tryKubectl(t, "logs", "job/tonight"); out.code != 0 || !strings.Contains(out.stdout, "starting") {
			return fmt.Errorf("logs of the job: %d %s%s", out.code, out.stdout, out.stderr)
		}
		return nil
	})
	for name, tc := range map[string]struct {
		spec      string
		condition string
		counts    string // succeeded and failed
	}{
		"indexed": {"completions: 3, parallelism: 2, completionMode: Indexed, template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox, command: ['true']}]}}", "Complete", "3 "},
		"failing": {"backoffLimit: 1, template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox, command: [sh, -c, exit 1]}]}}", "Failed", " 2"},
	} {
		manifest := "{apiVersion: batch/v1, kind: Job, metadata: {generateName: " + name + "-}, spec: {" + tc.spec + "}}"
		out := s.kubectlStdin(t, manifest, "create", "--filename=-", "--output=name")
		if out.code != 0 {
			t.Fatal(out.stderr)
		}
		job := strings.TrimSpace(out.stdout)
		s.kubectl(t, "wait", job, "--for=condition="+tc.condition, "--timeout=120s")
		got := s.kubectl(t, "get", job, "--output=jsonpath={.status.succeeded} {.status.failed}")
		if got != tc.counts {
			t.Errorf("%s: want %q succeeded and failed, got %q", job, tc.counts, got)
		}
	}
}

// checkShown checks that the fleet shows exactly the ready Pods that the members
// have, with the name of the member and of its node.
func (s *space) checkShown(ctx context.Context, selector string, want int) error {
	shown, err := s.kube.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return err
	}
	got := map[string]string{}
	for _, pod := range shown.Items {
		if podReady(&pod) {
			got[pod.Labels[wellknown.LabelCluster]+"/"+string(pod.UID)] = pod.Spec.NodeName
		}
	}
	pods, err := s.readyPods(ctx, selector)
	if err != nil {
		return err
	}
	have := map[string]string{}
	for m, pods := range pods {
		for _, pod := range pods {
			have[m+"/"+string(pod.UID)] = pod.Spec.NodeName + "." + m
		}
	}
	if diff := cmp.Diff(have, got); diff != "" || len(got) != want {
		return fmt.Errorf("want %d ready pods, the same as in the members: -members +fleet:\n%s", want, diff)
	}
	return nil
}

func (s *space) checkPodSelectors(t *testing.T) {
	pods, err := s.kube.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	onNode, inMember := map[string]int{}, map[string]int{}
	for _, pod := range pods.Items {
		onNode[pod.Spec.NodeName]++
		inMember[pod.Labels[wellknown.LabelCluster]]++
	}
	for node, want := range onNode {
		got := strings.Fields(s.kubectl(t, "get", "pods", "--field-selector=spec.nodeName="+node+",status.phase=Running", "--output=name"))
		if len(got) != want {
			t.Errorf("pods on %s: want %d, got %v", node, want, got)
		}
		if out := s.kubectl(t, "get", "node", node, "--output=name"); out != "node/"+node+"\n" {
			t.Errorf("the node of a pod is shown: got %q", out)
		}
	}
	for _, m := range bed.members {
		got := strings.Fields(s.kubectl(t, "get", "pods", "--selector="+wellknown.LabelCluster+"="+m.Name(), "--output=name"))
		if len(got) != inMember[m.Name()] || len(got) == 0 {
			t.Errorf("pods of %s: want %d and some, got %v", m.Name(), inMember[m.Name()], got)
		}
	}
}

// checkEvents reads what members tell about a Deployment, its ReplicaSet and its Pods.
func (s *space) checkEvents(t *testing.T) {
	pod, _, _ := strings.Cut(s.kubectl(t, "get", "pods", "--selector=app=web", "--output=name"), "\n")
	set := strings.TrimSpace(s.kubectl(t, "get", "replicasets", "--selector=app=web", "--output=name"))
	for _, tc := range []struct {
		object string
		want   []string
	}{
		{pod, []string{": Successfully assigned "}},
		{set, []string{"member1: Created pod", "member2: Created pod"}},
		{"deployment/web", []string{"member1: Scaled up", "member2: Scaled up"}},
	} {
		eventually(t, propagation, "describe to show events of "+tc.object, func(context.Context) error {
			out := s.kubectl(t, "describe", tc.object)
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					return fmt.Errorf("%q is missing in\n%s", want, out)
				}
			}
			return nil
		})
	}
	list := s.kubectl(t, "get", "events", "--field-selector=reason=ScalingReplicaSet", "--output=name")
	names := strings.Fields(list)
	if len(names) < len(bed.members) {
		t.Fatalf("want an event of each member, got %v", names)
	}
	if out := s.tryKubectl(t, "delete", names[0]); out.code == 0 || !strings.Contains(out.stderr, "cannot be changed in the fleet") {
		t.Errorf("events of members are only shown: got %d %s", out.code, out.stderr)
	}
	// The newer API shows the same.
	if got := strings.Fields(s.kubectl(t, "get", "events.events.k8s.io", "--field-selector=reason=ScalingReplicaSet", "--output=name")); len(got) != len(names) {
		t.Errorf("events.k8s.io: want %d, got %v", len(names), got)
	}
}

// checkOwners checks that all Pods in the fleet, as many as are wanted, are controlled by
// workloads of the fleet, which select them.
func (s *space) checkOwners(t *testing.T, want int) {
	t.Helper()
	eventually(t, propagation, "pods to have their owners", func(ctx context.Context) error {
		pods, err := s.kube.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(pods.Items) != want {
			return fmt.Errorf("want %d pods, got %d", want, len(pods.Items))
		}
		for _, pod := range pods.Items {
			if err := s.checkOwner(ctx, &pod); err != nil {
				return fmt.Errorf("pod %s: %w", pod.Name, err)
			}
		}
		return nil
	})
}

func (s *space) checkOwner(ctx context.Context, pod *corev1.Pod) error {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return errors.New("nobody controls it")
	}
	uid, selector, err := s.workload(ctx, owner.Kind, owner.Name)
	if err != nil {
		return err
	}
	matches, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return err
	}
	if uid != owner.UID || !matches.Matches(labels.Set(pod.Labels)) {
		return fmt.Errorf("owner %s %s has uid %s and selects %s, the pod has uid %s and %v", owner.Kind, owner.Name, uid, matches, owner.UID, pod.Labels)
	}
	return nil
}

// workload reads the uid and the selector of a workload of the fleet.
func (s *space) workload(ctx context.Context, kind, name string) (types.UID, *metav1.LabelSelector, error) {
	apps := s.kube.AppsV1()
	switch kind {
	case "ReplicaSet":
		w, err := apps.ReplicaSets(s.namespace).Get(ctx, name, metav1.GetOptions{})
		return w.UID, w.Spec.Selector, err
	case "StatefulSet":
		w, err := apps.StatefulSets(s.namespace).Get(ctx, name, metav1.GetOptions{})
		return w.UID, w.Spec.Selector, err
	case "DaemonSet":
		w, err := apps.DaemonSets(s.namespace).Get(ctx, name, metav1.GetOptions{})
		return w.UID, w.Spec.Selector, err
	case "Job":
		// Its own selector is not the members', which each make one.
		w, err := s.kube.BatchV1().Jobs(s.namespace).Get(ctx, name, metav1.GetOptions{})
		return w.UID, &metav1.LabelSelector{}, err
	default:
		return "", nil, fmt.Errorf("a %s makes no pods", kind)
	}
}

// checkPodWatch sees Pods come and go.
func (s *space) checkPodWatch(t *testing.T) {
	watch := s.follow(t, "kubectl", "--namespace", s.namespace, "get", "pods", "--selector=app=late", "--watch", "--output-watch-events", "--no-headers")
	s.kubectl(t, "create", "deployment", "late", "--image=nginx", "--replicas=2")
	s.kubectl(t, "rollout", "status", "deployment/late", "--timeout=60s")
	s.kubectl(t, "delete", "deployment", "late")
	running, gone := map[string]bool{}, 0
	for gone < 2 {
		fields := strings.Fields(watch.next(t))
		switch {
		case slices.Contains(fields, "Running"):
			running[fields[1]] = true
		case fields[0] == "DELETED":
			gone++
		}
	}
	if len(running) != 2 {
		t.Errorf("want two pods that ran, got %v", running)
	}
}

// checkPodDelete deletes a Pod of each member. It is deleted there, and replaced.
func (s *space) checkPodDelete(t *testing.T) {
	for _, m := range bed.members {
		pods, err := s.kube.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web," + wellknown.LabelCluster + "=" + m.Name()})
		if err != nil {
			t.Fatal(err)
		}
		victim := pods.Items[0]
		s.kubectl(t, "delete", "pod", victim.Name, "--wait=true", "--timeout=30s")
		now, err := m.memberClient.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(now.Items, func(pod corev1.Pod) bool { return pod.UID == victim.UID }) {
			t.Errorf("pod %s is deleted in the fleet, and %s has it", victim.Name, m.Name())
		}
	}
	eventually(t, propagation, "the pods to be replaced", func(ctx context.Context) error { return s.checkShown(ctx, "app=web", 4) })
}
