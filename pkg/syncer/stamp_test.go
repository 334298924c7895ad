// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

// runningDeployment is webDeployment as it runs in a member without the fleet.
var runningDeployment = strings.NewReplacer(
	"{app: web, fleet.dev/managed-by: fleet-1}", "{app: web}",
	"  annotations: {fleet.dev/template-uid: uid-1}\n", "",
	", fleet.dev/template: abc", "",
).Replace(webDeployment)

// podLabels are those of the Pod template: a new value replaces Pods.
func podLabels(object *unstructured.Unstructured) map[string]string {
	labels, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "labels")
	return labels
}

func TestTakeOverWithoutRestart(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		reason     string
		resolution policyv1alpha1.ConflictResolution
		running    func(string) string
		stamp      string
	}{
		"Adopted": {
			reason:     "the stamp would be the only change of the Pod template",
			resolution: policyv1alpha1.ConflictIfNoDiff,
		},
		"AdoptedAgain": {
			reason:     "it has the stamp of another template it came from once",
			resolution: policyv1alpha1.ConflictIfNoDiff,
			running: func(s string) string {
				return strings.Replace(s, "metadata: {labels: {app: web}}", "metadata: {labels: {app: web, fleet.dev/template: old}}", 1)
			},
			stamp: "old",
		},
		"Overwritten": {
			reason:     "what else changes is not about Pods",
			resolution: policyv1alpha1.ConflictOverwrite,
			running:    func(s string) string { return strings.Replace(s, "replicas: 3", "replicas: 2", 1) },
		},
		"OverwrittenPods": {
			reason:     "Pods are replaced anyway",
			resolution: policyv1alpha1.ConflictOverwrite,
			running:    func(s string) string { return strings.Replace(s, "image: nginx", "image: httpd", 1) },
			stamp:      "abc",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			running := runningDeployment
			if tc.running != nil {
				running = tc.running(running)
			}
			r.member.Put(t, fake.Manifest(t, `{apiVersion: v1, kind: Namespace, metadata: {name: shop}}`))
			r.member.Put(t, fake.Manifest(t, running))
			r.want("web", webDeployment, resolving(tc.resolution))
			r.await("web", "applied", applied)
			wantStamp := func(reason, stamp string, unstamped bool) {
				t.Helper()
				object := r.member.Get("Deployment", "shop", "web")
				if got := podLabels(object)[wellknown.LabelTemplate]; got != stamp {
					t.Errorf("%s: stamp of the Pod template: want %q, got %q", reason, stamp, got)
				}
				if _, ok := object.GetAnnotations()[wellknown.AnnotationUnstamped]; ok != unstamped {
					t.Errorf("%s: it says which stamp it lacks: want %t, got annotations %v", reason, unstamped, object.GetAnnotations())
				}
			}
			unstamped := tc.stamp != "abc"
			wantStamp(tc.reason, tc.stamp, unstamped)

			r.countAnew()
			r.want("web", strings.Replace(webDeployment, "replicas: 3", "replicas: 5", 1), resolving(tc.resolution), func(w *workv1alpha1.Work) { w.Spec.Template.Generation = 2 })
			r.await("web", "scaled", func(i workv1alpha1.FeedbackItem) bool {
				return i.Applied && i.MemberGeneration > 1 || applied(i) && r.member.Writes() > 0
			})
			wantStamp("scaling replaces no Pods", tc.stamp, unstamped)

			r.want("web", strings.NewReplacer("image: nginx", "image: nginx:2", "fleet.dev/template: abc", "fleet.dev/template: def").Replace(webDeployment), resolving(tc.resolution))
			r.eventually("the new Pod template", func() error {
				if podLabels(r.member.Get("Deployment", "shop", "web"))[wellknown.LabelTemplate] != "def" {
					return errUnmarked
				}
				return nil
			})
			wantStamp("a new Pod template has its stamp", "def", false)
		})
	}
}
