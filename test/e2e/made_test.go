// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// TestMade looks, on the fleet, at what members make of its Services, CronJobs and
// StatefulSets.
func TestMade(t *testing.T) {
	t.Parallel()
	t.Run("Endpoints", func(t *testing.T) {
		t.Parallel()
		newSpace(t).checkEndpoints(t)
	})
	t.Run("Jobs", func(t *testing.T) {
		t.Parallel()
		newSpace(t).checkMadeJobs(t)
	})
	t.Run("Claims", func(t *testing.T) {
		t.Parallel()
		newSpace(t).checkMadeClaims(t)
	})
}

// checkEndpoints has all Pods of a Service, wherever they are, be behind it.
func (s *space) checkEndpoints(t *testing.T) {
	t.Helper()
	s.kubectl(t, "annotate", "namespace", s.namespace, wellknown.AnnotationPlacement+"=duplicated")
	s.kubectl(t, "create", "deployment", "web", "--image=nginx", "--replicas=2")
	s.kubectl(t, "expose", "deployment", "web", "--port=80", "--target-port=8080")
	s.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	eventually(t, propagation, "endpoints of all members to be listed", func(ctx context.Context) error {
		pods, err := s.kube.CoreV1().Pods(s.namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			return err
		}
		var want []string
		for i := range pods.Items {
			want = append(want, fmt.Sprint(pods.Items[i].Name, " ", pods.Items[i].UID, " ", pods.Items[i].Spec.NodeName))
		}
		slices.Sort(want)
		slicesGot := strings.Split(strings.TrimSpace(s.kubectl(t, "get", "endpointslices", "--selector=kubernetes.io/service-name=web",
			`--output=jsonpath={range .items[*].endpoints[*]}{.targetRef.name} {.targetRef.uid} {.nodeName}{"\n"}{end}`)), "\n")
		slices.Sort(slicesGot)
		endpointsGot := strings.Split(strings.TrimSpace(s.kubectl(t, "get", "endpoints", "web",
			`--output=jsonpath={range .subsets[*].addresses[*]}{.targetRef.name} {.targetRef.uid} {.nodeName}{"\n"}{end}`)), "\n")
		slices.Sort(endpointsGot)
		if diff := cmp.Diff(want, slicesGot); diff != "" || len(want) != 4 {
			return fmt.Errorf("EndpointSlices have all four pods: -pods +slices:\n%s", diff)
		}
		if diff := cmp.Diff(want, endpointsGot); diff != "" {
			return fmt.Errorf("the Endpoints have all pods: -pods +endpoints:\n%s", diff)
		}
		return nil
	})
	service := s.kubectl(t, "get", "service", "web", "--output=jsonpath={.metadata.uid}")
	owners := strings.Fields(s.kubectl(t, "get", "endpointslices", "--output=jsonpath={.items[*].metadata.ownerReferences[*].uid}"))
	if len(owners) != 2 || owners[0] != service || owners[1] != service {
		t.Errorf("a slice of each member belongs to Service %s of the fleet, got %v", service, owners)
	}
	if out := s.kubectl(t, "describe", "service", "web"); !strings.Contains(out, ":8080 + 1 more...") {
		t.Errorf("kubectl describe shows four endpoints:\n%s", out)
	}
	slice, _, _ := strings.Cut(s.kubectl(t, "get", "endpointslices", "--output=name"), "\n")
	if out := s.tryKubectl(t, "label", slice, "by=anna"); out.code == 0 || !strings.Contains(out.stderr, "cannot be changed in the fleet") {
		t.Errorf("a slice of a member is read only, got %d %s", out.code, out.stderr)
	}
	s.kubectl(t, "delete", "service", "web")
	eventually(t, propagation, "endpoints to go with their Service", func(context.Context) error {
		if out := s.kubectl(t, "get", "endpoints,endpointslices", "--output=name"); out != "" {
			return fmt.Errorf("still there: %s", out)
		}
		return nil
	})
}

// checkMadeJobs has a member make a Job of a CronJob, as its controller does at the time.
func (s *space) checkMadeJobs(t *testing.T) {
	t.Helper()
	s.kubectl(t, "create", "cronjob", "nightly", "--image=busybox", "--schedule=0 0 1 1 *", "--", "true")
	var home *member
	var made *batchv1.Job
	eventually(t, propagation, "the CronJob to be in a member", func(ctx context.Context) error {
		for _, m := range bed.members {
			cronJob, err := m.memberClient.BatchV1().CronJobs(s.namespace).Get(ctx, "nightly", metav1.GetOptions{})
			if err == nil {
				home, made = m, jobOf(cronJob)
				return nil
			}
		}
		return errors.New("no member has it")
	})
	jobs := home.memberClient.BatchV1().Jobs(s.namespace)
	if _, err := jobs.Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "wait", "--for=create", "job/"+made.Name, "--timeout=60s")
	s.kubectl(t, "wait", "--for=condition=Complete", "job/"+made.Name, "--timeout=60s")
	owner := s.kubectl(t, "get", "cronjob", "nightly", "--output=jsonpath={.metadata.uid}")
	got := s.kubectl(t, "get", "job", made.Name, `--output=jsonpath={.metadata.ownerReferences[*].uid} {.metadata.labels.fleet\.dev/cluster}`)
	if want := owner + " " + home.Name(); got != want {
		t.Errorf("the Job's owner and member: want %s, got %s", want, got)
	}
	job := s.kubectl(t, "get", "job", made.Name, "--output=jsonpath={.metadata.uid}")
	if got := s.kubectl(t, "get", "pods", "--output=jsonpath={.items[*].metadata.ownerReferences[*].uid}"); got != job {
		t.Errorf("its Pod belongs to Job %s, got %s", job, got)
	}
	if out := s.kubectl(t, "logs", "job/"+made.Name); !strings.Contains(out, "starting") {
		t.Errorf("kubectl logs of the Job: %q", out)
	}
	if out := s.kubectl(t, "describe", "job", made.Name); !strings.Contains(out, "CronJob/nightly\n") {
		t.Errorf("kubectl describe of the Job:\n%s", out)
	}
	s.kubectl(t, "delete", "job", made.Name)
	eventually(t, propagation, "the Job and its Pod to go", func(ctx context.Context) error {
		if _, err := jobs.Get(ctx, made.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the member has the Job: %w", err)
		}
		if out := s.kubectl(t, "get", "jobs,pods", "--output=name"); out != "" {
			return fmt.Errorf("still there: %s", out)
		}
		return nil
	})
}

// jobOf is the Job that the CronJob controller makes.
func jobOf(cronJob *batchv1.CronJob) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: cronJob.Namespace, Name: cronJob.Name + "-29031240",
			Labels: cronJob.Spec.JobTemplate.Labels, Annotations: cronJob.Spec.JobTemplate.Annotations,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cronJob, batchv1.SchemeGroupVersion.WithKind("CronJob"))},
		},
		Spec: cronJob.Spec.JobTemplate.Spec,
	}
}

const setWithClaims = `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers: [{name: db, image: postgres}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      storageClassName: ""
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
`

// checkMadeClaims has a StatefulSet claim volumes, of which there is one.
func (s *space) checkMadeClaims(t *testing.T) {
	t.Helper()
	if out := s.kubectlStdin(t, setWithClaims, "apply", "--filename=-"); out.code != 0 {
		t.Fatalf("create the set: %s", out.stderr)
	}
	for _, claim := range []string{"pvc/data-db-0", "pvc/data-db-1"} { // kubectl gives up at once when several are missing
		s.kubectl(t, "wait", "--for=create", claim, "--timeout=60s")
	}
	name := s.kubectl(t, "get", "pvc", "data-db-0", `--output=jsonpath={.metadata.labels.fleet\.dev/cluster}`)
	at := slices.IndexFunc(bed.members, func(m *member) bool { return m.Name() == name })
	if at < 0 {
		t.Fatalf("the claim has label %s=%q, want a member", wellknown.LabelCluster, name)
	}
	volumes := bed.members[at].memberClient.CoreV1().PersistentVolumes()
	volume, err := volumes.Create(t.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: s.namespace},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/tmp"}},
			ClaimRef:               &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: s.namespace, Name: "data-db-0"},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := volumes.Delete(context.WithoutCancel(t.Context()), volume.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	shown := volume.Name + "." + name
	s.kubectl(t, "wait", "--for=jsonpath={.status.phase}=Bound", "pvc/data-db-0", "--timeout=60s")
	s.kubectl(t, "wait", "--for=create", "pv/"+shown, "--timeout=60s")
	if got := s.kubectl(t, "get", "pvc", "data-db-0", "data-db-1", `--output=jsonpath={range .items[*]}{.spec.volumeName} {end}`); got != shown+"  " {
		t.Errorf("one claim has volume %s, got %q", shown, got)
	}
	if got := s.kubectl(t, "get", "pv", shown, `--output=jsonpath={.spec.claimRef.namespace}/{.spec.claimRef.name}`); got != s.namespace+"/data-db-0" {
		t.Errorf("the volume is that of the claim, got %s", got)
	}
	s.kubectl(t, "label", "pvc", "data-db-1", "by=anna")
	claims := bed.members[at].memberClient.CoreV1().PersistentVolumeClaims(s.namespace)
	claim, err := claims.Get(t.Context(), "data-db-1", metav1.GetOptions{})
	if err != nil || claim.Labels["by"] != "anna" {
		t.Errorf("the label is on the claim in the member: got %v, %v", claim.Labels, err)
	}
	s.kubectl(t, "wait", "--for=condition=Ready", "pod/db-0", "--timeout=60s") // it holds its claim
	s.kubectl(t, "delete", "pvc", "data-db-0", "--wait=false")
	s.kubectl(t, "delete", "statefulset", "db")
	eventually(t, propagation, "the claim to go with the Pod", func(ctx context.Context) error {
		if _, err := claims.Get(ctx, "data-db-0", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the member has it: %w", err)
		}
		return nil
	})
	// Nothing in the member says any more that the other was the fleet's.
	if out := s.tryKubectl(t, "delete", "pvc", "data-db-1"); out.code == 0 {
		t.Error("a claim that was left behind: want it refused to delete it")
	}
	if err := claims.Delete(t.Context(), "data-db-1", metav1.DeleteOptions{}); err != nil {
		t.Errorf("the claim that was left behind is deleted in the member: %v", err)
	}
}
