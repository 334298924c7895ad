// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	workv1alpha1 "fleet.dev/fleet/pkg/apis/work/v1alpha1"
)

// apply creates an object of the fleet that goes to both members.
func (r *run) apply(c *cluster, manifest string) *row {
	r.Helper()
	object := map[string]any{}
	r.must(yaml.Unmarshal([]byte(manifest), &object))
	made := &row{entry: &entry{Object: object}}
	one := &unstructured.Unstructured{Object: normal(object)}
	if c == r.fleet {
		label(one)
	}
	var client interface {
		Create(ctx context.Context, object *unstructured.Unstructured, options metav1.CreateOptions, subresources ...string) (*unstructured.Unstructured, error)
	}
	r.eventually("the kind to be served", func(context.Context) error {
		c.mapper.Reset()
		objects, err := c.objects(made.kind().GroupKind(), made.kind().Version)
		if err != nil || objects == nil {
			return notYet("%s is not served: %v", made.key(), err)
		}
		client = objects
		return nil
	})
	stored, err := client.Create(r.Context(), one, metav1.CreateOptions{})
	r.must(err)
	made.name = stored.GetName()
	return made
}

// inMember waits until check finds the object of a member as it should be.
func (r *run) inMember(row *row, member string, check func(object map[string]any) string) {
	r.Helper()
	r.eventually(row.key()+" in member "+member, func(ctx context.Context) error {
		r.members[member].mapper.Reset()
		object, err := r.members[member].get(ctx, row.kind(), row.name)
		if err != nil {
			return err
		}
		if object == nil {
			why, err := r.whyAbsent(ctx, row, member)
			return notYet("it does not have it: %s %v", why, err)
		}
		if wrong := check(object.Object); wrong != "" {
			return notYet("%s", wrong)
		}
		return nil
	})
}

// remove deletes the object from the fleet and waits until no member has it.
func (r *run) remove(row *row) {
	r.Helper()
	objects, err := r.fleet.objects(row.kind().GroupKind())
	r.must(err)
	r.must(objects.Delete(r.Context(), row.name, metav1.DeleteOptions{}))
	r.eventually(row.key()+" to be gone", func(ctx context.Context) error {
		for name, member := range r.members {
			if object, err := member.get(ctx, row.kind(), row.name); err != nil || object != nil {
				return notYet("member %s still has it: %v", name, err)
			}
		}
		return nil
	})
}

// has returns a check for fields.
func has(want map[string]any) func(map[string]any) string {
	return func(object map[string]any) string {
		if missing := lacking("", normal(want), object); missing != "" {
			return "lacks " + missing
		}
		return ""
	}
}

// scaleCustom scales what has the subresource in the fleet, as kubectl scale and an
// autoscaler do.
func (r *run) scaleCustom() {
	r.Helper()
	var scaled []*row
	for _, row := range r.rows {
		if path := row.scalePath(); path != nil {
			objects, err := r.fleet.objects(row.kind().GroupKind())
			r.must(err)
			_, err = objects.Patch(r.Context(), row.name, types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{}, "scale")
			r.must(err)
			scaled = append(scaled, row)
		}
	}
	if len(scaled) == 0 {
		r.Fatal("the corpus has no kind with the subresource scale")
	}
	for _, row := range scaled {
		want := map[string]any{}
		r.must(unstructured.SetNestedField(want, int64(4), row.scalePath()...))
		for name := range r.members {
			r.inMember(row, name, has(want))
		}
	}
	r.Logf("scaled %d custom resources through the subresource", len(scaled))
}

// scalePath is where the definition says that replicas are, nil when it does not.
func (r *row) scalePath() []string {
	if r.definition == nil {
		return nil
	}
	versions, _, _ := unstructured.NestedSlice(r.definition.Object, "spec", "versions")
	path, _, _ := unstructured.NestedString(versions[0].(map[string]any), "subresources", "scale", "specReplicasPath")
	if path == "" {
		return nil
	}
	return strings.Split(strings.TrimPrefix(path, "."), ".")
}

const blobs = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: blobs.corpus.example.com}
spec:
  group: corpus.example.com
  scope: Namespaced
  names: {kind: Blob, listKind: BlobList, plural: blobs, singular: blob}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {data: {type: string}, round: {type: integer}}}}}}}
`

// large carries an object that is nearly as large as etcd takes.
func (r *run) large() {
	r.Helper()
	definition := r.apply(r.fleet, blobs)
	const size = 1400 << 10
	data := strings.Repeat("fleet---", size/8)
	blob := r.apply(r.fleet, fmt.Sprintf(`{"apiVersion":"corpus.example.com/v1","kind":"Blob","metadata":{"name":"large"},"spec":{"data":%q,"round":1}}`, data))
	for _, round := range []int64{1, 2} {
		if round > 1 {
			r.must(r.patch(r.fleet, blob, map[string]any{"spec": map[string]any{"round": round}}))
		}
		for name := range r.members {
			r.inMember(blob, name, has(map[string]any{"spec": map[string]any{"data": data, "round": round}}))
		}
	}
	r.remove(blob)
	r.remove(definition)
}

const sized = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: sized}
spec:
  replicas: 1
  selector: {matchLabels: {app: sized}}
  template:
    metadata: {labels: {app: sized}}
    spec:
      resources: {requests: {cpu: 100m, memory: 64Mi}}
      containers: [{name: app, image: registry.example.com/app:1}]
`

// older carries an object with a field that the old member does not know.
func (r *run) older() {
	r.Helper()
	deployment := r.apply(r.fleet, sized)
	field := map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"resources": map[string]any{"requests": "*"}}}}}
	r.inMember(deployment, current, has(field))
	r.inMember(deployment, old, func(object map[string]any) string {
		if has(field)(object) == "" {
			r.Fatal("the old member keeps a field that it should not know: the test tests nothing")
		}
		return ""
	})
	const words = "the member does not know .spec.template.spec.resources"
	r.eventually("the fleet to say what was left out", func(ctx context.Context) error {
		item, err := r.reported(ctx, deployment, old)
		if err != nil {
			return err
		}
		if item.AppliedReason != workv1alpha1.AppliedReasonPruned || item.AppliedMessage != words || !item.Applied {
			return notYet("applied %t, %s: %s", item.Applied, item.AppliedReason, item.AppliedMessage)
		}
		return nil
	})
	// What it does know is carried on.
	r.must(r.patch(r.fleet, deployment, map[string]any{"spec": map[string]any{"replicas": 2}}))
	for name := range r.members {
		r.inMember(deployment, name, has(map[string]any{"spec": map[string]any{"replicas": 2}}))
	}
	r.checkQuiet()
	r.remove(deployment)
}

// reported returns what a member reported about an object.
func (r *run) reported(ctx context.Context, row *row, member string) (workv1alpha1.AggregatedStatusItem, error) {
	binding, err := r.binding(ctx, row)
	if err != nil {
		return workv1alpha1.AggregatedStatusItem{}, err
	}
	if binding != nil {
		for _, item := range binding.GetStatus().AggregatedStatus {
			if item.ClusterName == member {
				return item, nil
			}
		}
	}
	return workv1alpha1.AggregatedStatusItem{}, notYet("member %s reported nothing", member)
}

const ports = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ports.corpus.example.com}
spec:
  group: corpus.example.com
  scope: Namespaced
  names: {kind: Port, listKind: PortList, plural: ports, singular: port}
  versions:
  - {name: v1beta1, served: true, storage: true, schema: &schema {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {number: {type: integer}}}}}}}
`

// earlier has a member with an operator of an earlier release: it serves a version that
// is not the one the fleet prefers, by a definition of its own with fewer fields.
func (r *run) earlier() {
	r.Helper()
	own := r.apply(r.members[old], ports)
	newer := strings.Replace(ports, "storage: true", "storage: false", 1) +
		"  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {number: {type: integer}, protocol: {type: string}}}}}}}\n"
	newer = strings.Replace(newer, "{number: {type: integer}}", "{number: {type: integer}, protocol: {type: string}}", 1)
	definition := r.apply(r.fleet, newer)
	r.eventually("the fleet to report the definition it did not take over", func(ctx context.Context) error {
		item, err := r.reported(ctx, definition, old)
		if err == nil && item.AppliedReason != workv1alpha1.AppliedReasonConflict {
			err = notYet("reason %s", item.AppliedReason)
		}
		return err
	})
	port := r.apply(r.fleet, `{"apiVersion":"corpus.example.com/v1","kind":"Port","metadata":{"name":"web"},"spec":{"number":80,"protocol":"TCP"}}`)
	r.inMember(port, current, has(map[string]any{"apiVersion": "corpus.example.com/v1", "spec": map[string]any{"number": 80, "protocol": "TCP"}}))
	r.inMember(port, old, has(map[string]any{"apiVersion": "corpus.example.com/v1beta1", "spec": map[string]any{"number": 80}}))
	r.eventually("the fleet to say what was left out", func(ctx context.Context) error {
		item, err := r.reported(ctx, port, old)
		if err == nil && (item.AppliedReason != workv1alpha1.AppliedReasonPruned || item.AppliedMessage != "the member does not know .spec.protocol") {
			err = notYet("%s: %s", item.AppliedReason, item.AppliedMessage)
		}
		return err
	})
	r.checkQuiet()
	// The member's operator is brought up to date.
	objects, err := r.members[old].objects(schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"})
	r.must(err)
	r.must(objects.Delete(r.Context(), own.name, metav1.DeleteOptions{}))
	started := time.Now()
	r.inMember(port, old, has(map[string]any{"apiVersion": "corpus.example.com/v1", "spec": map[string]any{"protocol": "TCP"}}))
	r.Logf("the fleet's definition and its object were in the member %s after the member's own was deleted", time.Since(started).Round(time.Second))
	r.remove(port)
	r.remove(definition)
}
