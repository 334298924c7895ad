// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

// A member that is not ready when it is first to be looked through is looked through
// when it is.
func TestUnknownObjectsOnceReady(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	r.sweepDelay = time.Millisecond // no member is connected to that soon
	forgotten := fake.Manifest(t, strings.ReplaceAll(settings, "name: settings", "name: forgotten"))
	mark(forgotten)
	r.member.Put(t, forgotten)
	r.start()
	r.eventually("the unknown object to be found", func() error {
		if diff := cmp.Diff([]string{"ConfigMap shop/forgotten"}, r.session.unknownNow().names); diff != "" {
			return fmt.Errorf("-want +got:\n%s", diff)
		}
		return nil
	})
}

// A fleet that was restored from an older state does not know some of its objects,
// and of some kinds none. They are told of and left as they are.
func TestUnknownObjects(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	r.sweepDelay = time.Second
	put := func(text string, change func(*unstructured.Unstructured)) {
		object := fake.Manifest(t, text)
		mark(object)
		if change != nil {
			change(object)
		}
		r.member.Put(t, object)
	}
	put(strings.ReplaceAll(settings, "name: settings", "name: forgotten"), nil)
	put(runningDeployment, nil)
	put(`{apiVersion: v1, kind: ConfigMap, metadata: {name: another, namespace: shop}}`, func(o *unstructured.Unstructured) {
		o.SetLabels(map[string]string{wellknown.LabelManagedBy: "fleet-2"})
	})
	put(`{apiVersion: v1, kind: Pod, metadata: {name: copied-label, namespace: shop}}`, func(o *unstructured.Unstructured) { o.SetAnnotations(nil) })
	r.start()
	get, _ := r.keepStatus()
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	r.member.ResetRequests()
	want := []string{"ConfigMap shop/forgotten", "Deployment shop/web"}
	r.eventually("the unknown objects to be found", func() error {
		if diff := cmp.Diff(want, r.session.unknownNow().names); diff != "" {
			return fmt.Errorf("-want +got:\n%s", diff)
		}
		return nil
	})
	if got := r.member.Writes(); got > 0 {
		t.Errorf("they are left as they are: %v", r.member.Requests())
	}
	r.apisChanged()
	r.eventually("the condition", func() error {
		condition := meta.FindStatusCondition(get().Status.Conditions, clusterv1alpha1.ClusterConditionUnknownObjects)
		if condition == nil || !strings.Contains(condition.Message, "2 objects") || !strings.Contains(condition.Message, want[1]) {
			return fmt.Errorf("got %v", condition)
		}
		return nil
	})

	r.session.keepUnknown(nil)
	r.apisChanged()
	r.eventually("the condition to go", func() error {
		if condition := meta.FindStatusCondition(get().Status.Conditions, clusterv1alpha1.ClusterConditionUnknownObjects); condition != nil {
			return fmt.Errorf("got %v", condition)
		}
		return nil
	})
}

// A fleet that is restored while the session runs forgets works it had.
func TestUnknownObjectsAfterWorksWent(t *testing.T) {
	t.Parallel()
	r := newIdleRig(t)
	r.sweepDelay = time.Second
	r.start()
	r.want("web", webDeployment)
	r.await("web", "applied", applied)
	r.want("settings", settings)
	r.await("settings", "applied", applied)
	unknown := func(want ...string) func() error {
		return func() error {
			got := r.session.unknownNow()
			if diff := cmp.Diff(want, got.names, cmpopts.EquateEmpty()); !got.swept || diff != "" {
				return fmt.Errorf("looked through: %t, -want +got:\n%s", got.swept, diff)
			}
			return nil
		}
	}
	r.eventually("the first look", unknown())
	r.drop("web")
	r.eventually("the object to be unknown", unknown("Deployment shop/web"))
	r.want("settings", settings, tombstone)
	r.await("settings", "deleted", deleted)
	r.drop("settings")
	if r.member.Get("Deployment", "shop", "web") == nil {
		t.Error("what is unknown went")
	}
}
