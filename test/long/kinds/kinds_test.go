// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"

	policyv1alpha1 "fleet.dev/fleet/pkg/apis/policy/v1alpha1"
	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
	"fleet.dev/fleet/pkg/scheduler/framework/plugins/apienablement"
	"fleet.dev/fleet/test/e2e/witness"
)

var (
	update   = flag.Bool("update", false, "write docs/kinds.md")
	patience = flag.Duration("patience", 3*time.Minute, "how long all objects together may take for a step in a member")
)

const (
	// quiet is how long nothing may be written to the members afterwards.
	quiet = 15 * time.Second
)

// row is what became of one kind.
type row struct {
	*entry
	Result result
}

// run is one run of the corpus.
type run struct {
	*testing.T
	*stage
	rows []*row
}

func TestKinds(t *testing.T) {
	all := &run{T: t, stage: newStage(t)}
	all.place()
	for _, story := range []struct {
		name string
		tell func(*run)
	}{
		{"EveryKind", (*run).everyKind}, // first: it looks for kinds nobody defined yet
		{"LargeObject", (*run).large},
		{"FieldsOfANewerRelease", (*run).older},
		{"DefinitionOfAnEarlierRelease", (*run).earlier},
	} {
		t.Run(story.name, func(t *testing.T) { story.tell(&run{T: t, stage: all.stage}) })
	}
}

// everyKind carries the corpus through its life.
func (r *run) everyKind() {
	r.Helper()
	entries, err := corpus()
	r.must(err)
	for _, e := range entries {
		r.rows = append(r.rows, &row{entry: e})
	}
	r.checkComplete()
	r.define()
	r.create()
	r.update()
	r.report()
	r.checkQuiet()
	r.scaleCustom()
	r.delete()
	r.conclude()
}

// checkComplete fails the test unless the corpus has each kind that can be created in
// the fleet, and no other.
func (r *run) checkComplete() {
	r.Helper()
	lists, err := discovery.ServerPreferredResources(r.fleet.discovery)
	if err != nil {
		r.Fatal(err)
	}
	served := map[string]bool{}
	for _, list := range lists {
		for _, resource := range list.APIResources {
			if slices.Contains(resource.Verbs, "create") && !strings.Contains(resource.Name, "/") {
				served[schema.FromAPIVersionAndKind(list.GroupVersion, resource.Kind).GroupKind().String()] = true
			}
		}
	}
	have := map[string]bool{}
	for _, row := range r.rows {
		if row.definition == nil {
			have[row.key()] = true
		}
	}
	if diff := gocmp.Diff(served, have); diff != "" {
		r.Fatalf("kinds that can be created in the fleet and kinds of the corpus: -served, +corpus:\n%s", diff)
	}
}

// named are the kinds that stay in the fleet unless a policy names them.
var named = []schema.GroupVersionKind{
	{Version: "v1", Kind: "PersistentVolume"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "MutatingWebhookConfiguration"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingWebhookConfiguration"},
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
}

// place has everything of the corpus go to both members.
func (r *run) place() {
	r.Helper()
	objects, err := r.fleet.objects(schema.GroupKind{Kind: "Namespace"})
	r.must(err)
	_, err = objects.Create(r.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace},
	}}, metav1.CreateOptions{})
	r.must(err)
	var selectors []policyv1alpha1.ResourceSelector
	for _, kind := range append(named, schema.GroupVersionKind{Version: policyv1alpha1.AnyResource, Kind: policyv1alpha1.AnyResource}) {
		selectors = append(selectors, policyv1alpha1.ResourceSelector{
			APIVersion: kind.GroupVersion().String(), Kind: kind.Kind,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{mark: "yes"}},
		})
	}
	_, err = r.work.PolicyV1alpha1().ClusterPropagationPolicies().Create(r.Context(), &policyv1alpha1.ClusterPropagationPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: "corpus"},
		Spec: policyv1alpha1.PropagationSpec{
			ResourceSelectors: selectors,
		},
	}, metav1.CreateOptions{})
	r.must(err)
}

// define makes the CustomResourceDefinitions and waits until the fleet serves them.
func (r *run) define() {
	r.Helper()
	for _, row := range r.rows {
		if row.definition == nil {
			continue
		}
		objects, err := r.fleet.objects(row.definition.GroupVersionKind().GroupKind())
		r.must(err)
		label(row.definition)
		if _, err := objects.Create(r.Context(), row.definition, metav1.CreateOptions{}); err != nil {
			r.Fatalf("define %s: %v", row.key(), err)
		}
	}
	r.eventually("the fleet to serve what was defined", func(context.Context) error {
		r.fleet.mapper.Reset()
		for _, row := range r.rows {
			if objects, err := r.fleet.objects(row.kind().GroupKind()); err != nil || objects == nil {
				return notYet("%s is not served: %v", row.key(), err)
			}
		}
		return nil
	})
}

func label(object *unstructured.Unstructured) {
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[mark] = "yes"
	object.SetLabels(labels)
}

func (r *run) create() {
	r.Helper()
	for _, row := range r.rows {
		object := (&unstructured.Unstructured{Object: normal(row.Object)})
		if object.GetName() != "" || object.GetGenerateName() != "" {
			label(object)
		} // others are questions, which have no metadata
		objects, err := r.fleet.objects(row.kind().GroupKind(), row.kind().Version)
		r.must(err)
		made, err := objects.Create(r.Context(), object, metav1.CreateOptions{})
		if err != nil {
			r.Logf("create %s: %v", row.key(), err)
			row.Result.Fleet = refused
			continue
		}
		if row.name = made.GetName(); row.name == "" {
			row.Result.Fleet = answered
		}
	}
	r.await("create", func(ctx context.Context, row *row, member string) (string, error) {
		return r.found(ctx, row, member, content(normal(row.Object)))
	})
}

// found tells what a member has of an object.
func (r *run) found(ctx context.Context, row *row, member string, want map[string]any) (string, error) {
	if row.name == "" {
		return row.Result.Fleet, nil
	}
	object, err := r.members[member].get(ctx, row.kind(), row.name)
	if err != nil {
		return "", err
	}
	if object == nil {
		return r.whyAbsent(ctx, row, member)
	}
	missing := lacking("", want, object.Object)
	switch {
	case missing == "" && object.GetAPIVersion() != row.object().GetAPIVersion():
		return yes + " as " + object.GroupVersionKind().Version, nil
	case missing == "":
		return yes, nil
	default:
		return "lacks " + missing, nil
	}
}

// binding returns the binding of a template, nil when there is none.
func (r *run) binding(ctx context.Context, row *row) (workv1alpha1.Binding, error) {
	name := workv1alpha1.BindingNameForGroupKind(row.kind().GroupKind(), row.name)
	mapping, err := r.fleet.mapper.RESTMapping(row.kind().GroupKind())
	if err != nil {
		return nil, err
	}
	var binding workv1alpha1.Binding
	if mapping.Scope.Name() == "namespace" {
		binding, err = r.work.WorkV1alpha1().ResourceBindings(namespace).Get(ctx, name, metav1.GetOptions{})
	} else {
		binding, err = r.work.WorkV1alpha1().ClusterResourceBindings().Get(ctx, name, metav1.GetOptions{})
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return binding, err
}

// whyAbsent tells why a member does not have an object.
func (r *run) whyAbsent(ctx context.Context, row *row, member string) (string, error) {
	binding, err := r.binding(ctx, row)
	if err != nil {
		return "", err
	}
	if binding == nil {
		return stays, nil
	}
	for _, item := range binding.GetStatus().AggregatedStatus {
		if item.ClusterName == member {
			return item.AppliedReason, nil
		}
	}
	for _, reason := range binding.GetStatus().Reasons {
		if reason.ClusterName == member && reason.Message == apienablement.ErrReason {
			return unserved, nil
		}
	}
	return "absent", nil
}

func (r *run) update() {
	r.Helper()
	for _, row := range r.rows {
		if row.name == "" {
			continue
		}
		if row.Update == nil {
			row.Update = map[string]any{"metadata": map[string]any{"labels": map[string]any{"round": "two"}}}
		}
		if err := r.patch(r.fleet, row, row.Update); err != nil {
			if !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
				r.Errorf("update %s: %v", row.key(), err)
			}
			continue
		}
	}
	r.await("update", func(ctx context.Context, row *row, member string) (string, error) {
		return r.found(ctx, row, member, content(merged(row.Object, row.Update)))
	})
}

// patch sends a merge patch, to the subresource if there is one.
func (r *run) patch(c *cluster, row *row, patch map[string]any, subresources ...string) error {
	objects, err := c.objects(row.kind().GroupKind())
	if err != nil || objects == nil {
		return err
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = objects.Patch(r.Context(), row.name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: "corpus"}, subresources...)
	return err
}

// report has each member say something in the status of its objects, as a controller
// there would, and waits until the fleet says it too.
func (r *run) report() {
	r.Helper()
	withStatus := r.withStatus()
	for _, row := range r.rows {
		if row.name == "" || row.Status == nil {
			continue
		}
		var subresources []string
		if withStatus[row.key()] {
			subresources = []string{"status"}
		}
		for _, name := range slices.Sorted(maps.Keys(r.members)) {
			err := r.patch(r.members[name], row, map[string]any{"status": row.Status}, subresources...)
			if err != nil && !apierrors.IsNotFound(err) {
				r.Errorf("report the status of %s in member %s: %v", row.key(), name, err)
			}
		}
	}
	r.settle("status", func(ctx context.Context, row *row) (string, string, error) {
		want := row.expected().Status
		if row.name == "" || row.shows() == nil && !withStatus[row.key()] {
			return want, none, nil
		}
		object, err := r.fleet.get(ctx, row.kind(), row.name)
		switch {
		case err != nil:
			return want, "", err
		case row.shows() == nil:
			return want, own, nil
		case object == nil:
			return want, no, nil
		}
		if missing := lacking("", normal(row.shows()), object.Object["status"]); missing != "" {
			return want, no, nil
		}
		return want, yes, nil
	}, func(row *row, word string) {
		if row.Result.Status = word; word != row.expected().Status {
			r.logStatus(row)
		}
	})
}

// logStatus logs what the fleet shows of an object and what members reported.
func (r *run) logStatus(row *row) {
	r.Helper()
	object, err := r.fleet.get(r.Context(), row.kind(), row.name)
	if err != nil || object == nil {
		r.Logf("%s: %v", row.key(), err)
		return
	}
	r.Logf("%s shows %v", row.key(), object.Object["status"])
	binding, err := r.binding(r.Context(), row)
	if err != nil || binding == nil {
		r.Logf("%s: no binding, %v", row.key(), err)
		return
	}
	reported, err := json.Marshal(binding.GetStatus().AggregatedStatus)
	r.Logf("%s: reported %s %v", row.key(), reported, err)
}

// withStatus are the kinds with a subresource for their status.
func (r *run) withStatus() map[string]bool {
	r.Helper()
	_, lists, err := r.fleet.discovery.ServerGroupsAndResources()
	r.must(err)
	out := map[string]bool{}
	for _, list := range lists {
		for _, resource := range list.APIResources {
			if strings.HasSuffix(resource.Name, "/status") {
				out[schema.FromAPIVersionAndKind(list.GroupVersion, resource.Kind).GroupKind().String()] = true
			}
		}
	}
	return out
}

// checkQuiet fails the test if the fleet goes on writing to a member.
func (r *run) checkQuiet() {
	r.Helper()
	heartbeat := func(w witness.Write) bool { return w.Resource != "leases" && !strings.HasPrefix(w.Resource, "token") }
	var written []witness.Write
	deadline := time.Now().Add(*patience)
	for {
		marks := map[string]witness.Mark{}
		for name, log := range r.audit {
			mark, err := log.Mark()
			r.must(err)
			marks[name] = mark
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(quiet):
		}
		written = nil
		for name, log := range r.audit {
			since, err := log.Since(marks[name], heartbeat)
			r.must(err)
			written = append(written, since...)
		}
		if len(written) == 0 {
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	r.Errorf("the fleet goes on writing to members, though nothing changes:\n%s", witness.Lines(written))
}

func (r *run) delete() {
	r.Helper()
	for _, row := range slices.Backward(r.rows) {
		if row.name == "" {
			continue
		}
		objects, err := r.fleet.objects(row.kind().GroupKind())
		r.must(err)
		background := metav1.DeletePropagationBackground
		err = objects.Delete(r.Context(), row.name, metav1.DeleteOptions{PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsMethodNotSupported(err) {
			r.Errorf("delete %s: %v", row.key(), err)
		}
	}
	r.await("delete", func(ctx context.Context, row *row, member string) (string, error) {
		if row.name == "" {
			return row.Result.Fleet, nil
		}
		object, err := r.members[member].get(ctx, row.kind(), row.name)
		switch {
		case err != nil:
			return "", err
		case object != nil:
			return "stays in the member", nil
		case !strings.HasPrefix(row.Result.Members[member]["create"], yes):
			return row.Result.Members[member]["create"], nil
		}
		binding, err := r.binding(ctx, row)
		if err != nil {
			return "", err
		}
		if binding != nil {
			return "a binding is left", nil
		}
		return yes, nil
	})
	for _, row := range r.rows {
		if row.definition != nil {
			objects, err := r.fleet.objects(row.definition.GroupVersionKind().GroupKind())
			r.must(err)
			r.must(objects.Delete(r.Context(), row.definition.GetName(), metav1.DeleteOptions{}))
		}
	}
	r.eventually("the definitions to be gone in the members", func(ctx context.Context) error {
		for name, member := range r.members {
			for _, row := range r.rows {
				if row.definition == nil {
					continue
				}
				object, err := member.get(ctx, row.definition.GroupVersionKind(), row.definition.GetName())
				if err != nil || object != nil {
					return notYet("%s in %s: %v", row.definition.GetName(), name, cmp.Or(err, notYet("is there")))
				}
			}
		}
		return nil
	})
}

// await waits until each member is where it is expected to be, and records where it is.
func (r *run) await(step string, look func(ctx context.Context, row *row, member string) (string, error)) {
	r.Helper()
	for _, name := range []string{old, current} {
		r.settle(step+" in "+name, func(ctx context.Context, row *row) (string, string, error) {
			got, err := look(ctx, row, name)
			return row.expected().Members[name][step], got, err
		}, func(row *row, word string) { row.Result.set(name, step, word) })
	}
}

// settle looks at all rows until each is as expected, or patience ends. What is there
// then is recorded.
func (r *run) settle(step string, look func(ctx context.Context, row *row) (want, got string, err error), record func(row *row, word string)) {
	r.Helper()
	started := time.Now()
	pending := slices.Clone(r.rows)
	ctx, cancel := context.WithTimeout(r.Context(), *patience)
	defer cancel()
	_ = wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		pending = slices.DeleteFunc(pending, func(row *row) bool {
			want, got, err := look(ctx, row)
			return err == nil && want == got
		})
		for _, c := range r.members {
			c.mapper.Reset()
		}
		return len(pending) == 0, nil
	})
	// All of them once more: what should not come, did not come meanwhile.
	for _, row := range r.rows {
		want, got, err := look(r.Context(), row)
		if err != nil {
			got = err.Error()
		}
		record(row, got)
		if got != want {
			r.Logf("%s: %s: want %q, got %q", step, row.key(), want, got)
		}
	}
	r.Logf("%s: %d objects in %s, %d not as expected", step, len(r.rows), time.Since(started).Round(time.Second), len(pending))
}

// conclude compares with what is expected, and with the document.
func (r *run) conclude() {
	r.Helper()
	for _, row := range r.rows {
		if diff := gocmp.Diff(row.expected(), row.Result); diff != "" {
			r.Errorf("%s: -expected, +got:\n%s", row.key(), diff)
		}
	}
	checkExceptions(r.T, r.rows)
	text := render(r.members, r.rows)
	if *update {
		r.must(r.writeDocument(text))
		return
	}
	have, err := os.ReadFile(r.document())
	r.must(err)
	if diff := gocmp.Diff(string(have), text); diff != "" {
		r.Errorf("%s: run the test with -update: -have, +want:\n%s", r.document(), diff)
	}
}

func (r *run) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// eventually fails the test unless check succeeds in time.
func (r *run) eventually(what string, check func(context.Context) error) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), *patience)
	defer cancel()
	var last error
	if err := wait.PollUntilContextCancel(ctx, 500*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	}); err != nil {
		r.Fatalf("wait for %s: %v", what, fmt.Errorf("%w: %w", err, last))
	}
}
