// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package deletion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

const (
	// kills is how often the syncer dies, killAfter the longest it lives.
	kills     = 200
	killAfter = 3 * time.Second
	// churned is how many objects change meanwhile, churners how many at a time.
	churned  = 300
	churners = 4
	// seed makes a run like the last.
	seed = 20261122
)

// churnKinds are the kinds of what changes, with what a change sets.
var churnKinds = []struct {
	resource schema.GroupVersionResource
	kind     string
	content  func(value string) map[string]any
}{
	{corev1.SchemeGroupVersion.WithResource("configmaps"), "ConfigMap", func(value string) map[string]any {
		return map[string]any{"data": map[string]any{"value": value, "of-" + value[:1]: "set for a while"}}
	}},
	{corev1.SchemeGroupVersion.WithResource("secrets"), "Secret", func(value string) map[string]any {
		return map[string]any{"type": "Opaque", "stringData": map[string]any{"value": value}}
	}},
	{corev1.SchemeGroupVersion.WithResource("services"), "Service", func(value string) map[string]any {
		return map[string]any{"spec": map[string]any{
			"selector": map[string]any{"app": "a" + value},
			"ports":    []any{map[string]any{"name": "http", "port": int64(80), "targetPort": "p" + value[:1]}},
		}}
	}},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "Deployment", func(value string) map[string]any {
		return map[string]any{"spec": map[string]any{
			"replicas": int64(0),
			"selector": map[string]any{"matchLabels": map[string]any{"app": "web"}},
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "web"}},
				"spec": map[string]any{"containers": []any{map[string]any{
					"name": "web", "image": "nginx:" + value, "env": []any{map[string]any{"name": "E" + value[:1], "value": value}},
				}}},
			},
		}}
	}},
}

// TestKillSyncer kills the syncer of a member at 200 random moments while 300 objects
// are created, changed and deleted. What both members have in the end is, in each field
// the fleet owns, what it renders; and nothing else of the fleet is there.
func TestKillSyncer(t *testing.T) {
	const namespace = "churn"
	newNamespace(t, namespace)
	// What makes the namespace one that has workloads, so that all else goes there.
	createDeployments(t, namespace, numbered(1))
	far := bed.members[1]
	mark, err := far.audit.Mark()
	if err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	var changes atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, churners)
	for i := range churners {
		group.Go(func() { errs[i] = churn(t.Context(), namespace, i, stop, &changes) })
	}
	random := rand.New(rand.NewPCG(seed, churners)) //nolint:gosec // a test that can be repeated
	began := time.Now()
	for range kills {
		<-time.After(time.Duration(random.Int64N(int64(killAfter))))
		if err := errors.Join(far.Agent.Kill(t.Context()), far.StartAgent(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	writes, err := far.audit.Since(mark, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills and %d changes in %s, %d writes to %s", kills, changes.Load(), time.Since(began).Round(time.Second), len(writes), far.Name())
	for _, m := range bed.members {
		t.Logf("%s is as rendered %s later", m.Name(), eventually(t, m.Name()+" to be as rendered", func(ctx context.Context) error {
			return checkRendered(ctx, m, namespace)
		}))
	}
	if err := checkNoTombstones(t.Context(), namespace); err != nil {
		t.Error(err)
	}
}

// churn changes the objects of one of the churners, one after the other, until stop.
func churn(ctx context.Context, namespace string, which int, stop <-chan struct{}, changes *atomic.Int64) error {
	random := rand.New(rand.NewPCG(seed, uint64(which))) //nolint:gosec // a test that can be repeated
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		number := which + churners*random.IntN(churned/churners)
		if err := change(ctx, namespace, number, random); err != nil {
			return err
		}
		changes.Add(1)
	}
}

// change creates an object, changes it or, one time in four, deletes it.
func change(ctx context.Context, namespace string, number int, random *rand.Rand) error {
	kind := churnKinds[number%len(churnKinds)]
	objects, name := bed.objects.Resource(kind.resource).Namespace(namespace), fmt.Sprintf("churn-%03d", number)
	if random.IntN(4) == 0 {
		background := metav1.DeletePropagationBackground
		err := objects.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	content := kind.content(fmt.Sprintf("%x", random.Uint32()))
	content["apiVersion"], content["kind"] = kind.resource.GroupVersion().String(), kind.kind
	content["metadata"] = map[string]any{"name": name, "namespace": namespace}
	body, err := json.Marshal(content)
	if err != nil {
		return err
	}
	_, err = objects.Patch(ctx, name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "churn", Force: new(true)})
	return err
}

// checkRendered checks that a member has of the fleet, in the namespace, what the
// fleet's works say, and nothing else.
func checkRendered(ctx context.Context, m *member, namespace string) error {
	fleetID, err := bed.kube.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return err
	}
	works, err := bed.clients.fleet.WorkV1alpha1().Works(clusterv1alpha1.MemberNamespace(m.Name())).List(ctx,
		metav1.ListOptions{LabelSelector: wellknown.LabelTemplateNamespace + "=" + namespace})
	if err != nil {
		return err
	}
	for _, kind := range churnKinds {
		list, err := m.objects.Resource(kind.resource).Namespace(namespace).List(ctx,
			metav1.ListOptions{LabelSelector: wellknown.LabelManagedBy + "=" + string(fleetID.UID)})
		if err != nil {
			return err
		}
		have := map[string]*unstructured.Unstructured{}
		for i := range list.Items {
			have[list.Items[i].GetName()] = &list.Items[i]
		}
		if err := checkKind(kind.kind, works.Items, have); err != nil {
			return err
		}
	}
	return nil
}

// checkKind checks the objects of one kind against their works.
func checkKind(kind string, works []workv1alpha1.Work, have map[string]*unstructured.Unstructured) error {
	for i := range works {
		work := &works[i]
		if work.Spec.Template.Kind != kind {
			continue
		}
		if work.Spec.Deleted {
			return fmt.Errorf("%s %s is still to be deleted", kind, work.Spec.Template.Name)
		}
		object, ok := have[work.Spec.Template.Name]
		if !ok {
			return fmt.Errorf("%s %s is missing", kind, work.Spec.Template.Name)
		}
		delete(have, work.Spec.Template.Name)
		if err := compareWithWork(work, object); err != nil {
			return fmt.Errorf("%s %s: %w", kind, work.Spec.Template.Name, err)
		}
	}
	for name := range have {
		return fmt.Errorf("%s %s is there, and no work is about it", kind, name)
	}
	return nil
}

// compareWithWork compares an object with its work in the fields either of them says
// are the fleet's.
func compareWithWork(work *workv1alpha1.Work, object *unstructured.Unstructured) error {
	rendered := map[string]any{}
	if err := json.Unmarshal(work.Spec.Workload.Manifests[0].Raw, &rendered); err != nil {
		return err
	}
	raw, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	live := map[string]any{}
	if err := json.Unmarshal(raw, &live); err != nil {
		return err
	}
	if at := differs(rendered, live, ""); at != "" {
		return fmt.Errorf("it is not as rendered in %s", at)
	}
	for _, entry := range object.GetManagedFields() {
		if entry.Manager != wellknown.FieldManager || entry.Subresource != "" {
			continue
		}
		fields := map[string]any{}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			return err
		}
		if at := notRendered(fields, rendered, ""); at != "" {
			return fmt.Errorf("the fleet owns %s and does not render it", at)
		}
	}
	return nil
}

// differs returns where live has not what rendered says, empty when nowhere.
func differs(rendered, live any, at string) string {
	switch rendered := rendered.(type) {
	case map[string]any:
		other, ok := live.(map[string]any)
		if !ok {
			return at
		}
		for key, value := range rendered {
			if where := differs(value, other[key], at+"."+key); where != "" {
				return where
			}
		}
		return ""
	case []any:
		other, ok := live.([]any)
		if !ok || len(other) != len(rendered) {
			return at
		}
		for i := range rendered {
			if where := differs(rendered[i], other[i], fmt.Sprintf("%s[%d]", at, i)); where != "" {
				return where
			}
		}
		return ""
	}
	if !equality.Semantic.DeepEqual(rendered, live) {
		return at
	}
	return ""
}

// byOthers are fields that the syncer itself adds to what is rendered.
var byOthers = []string{".metadata.annotations." + wellknown.AnnotationContentHash}

// notRendered returns a field of a managed fields entry that rendered has not, empty
// when it has all.
func notRendered(fields map[string]any, rendered any, at string) string {
	for key, inner := range fields {
		kind, name, _ := strings.Cut(key, ":")
		var next any
		where := at
		switch kind {
		case "f":
			where += "." + name
			object, _ := rendered.(map[string]any)
			value, ok := object[name]
			if !ok && !slices.Contains(byOthers, where) {
				return where
			}
			next = value
		case "k":
			where += "[" + name + "]"
			if next = item(rendered, name); next == nil {
				return where
			}
		default:
			continue
		}
		nested, _ := inner.(map[string]any)
		if found := notRendered(nested, next, where); found != "" {
			return found
		}
	}
	return ""
}

// item returns the item of a list that has the keys, nil when there is none. A key
// that only the defaults of the member's kind fill in is not looked for.
func item(list any, keys string) any {
	wanted := map[string]any{}
	if json.Unmarshal([]byte(keys), &wanted) != nil {
		return nil
	}
	items, _ := list.([]any)
	for _, candidate := range items {
		object, _ := candidate.(map[string]any)
		matches := object != nil
		for key, value := range wanted {
			if got, ok := object[key]; ok && !equality.Semantic.DeepEqual(got, value) {
				matches = false
			}
		}
		if matches {
			return candidate
		}
	}
	return nil
}
