// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

//go:embed testdata/matrix.yaml
var matrixYAML []byte

// matrix is all that is asked about.
type matrix struct {
	// Situations are in the order of the document.
	Situations []*situation `json:"situations"`
	// Subjects are the kinds.
	Subjects []*subject `json:"subjects"`
	// cells are those of both that go together.
	cells []*cell
}

// situation is how things are.
type situation struct {
	// Name is a word or two.
	Name string `json:"name"`
	// Fleet and Plain say in the document what was done.
	Fleet string `json:"fleet"`
	Plain string `json:"plain"`
	// Like names the situation of which an object is taken as it is there.
	Like string `json:"like"`
	// Placement annotates the namespace in the fleet.
	Placement string `json:"placement"`
	// Lost says that a member, or a node, is lost before the object is updated.
	Lost bool `json:"lost"`
}

// subject is a kind.
type subject struct {
	Kind string `json:"kind"`
	// Rollout says that "kubectl rollout status" knows the kind.
	Rollout bool `json:"rollout"`
	// Wait are the conditions to wait for with "kubectl wait".
	Wait []string `json:"wait"`
	// Manifest is the object, With what else is there.
	Manifest map[string]any   `json:"manifest"`
	With     []map[string]any `json:"with"`
	// Situations are those the kind can be in.
	Situations map[string]*change `json:"situations"`
}

// change is what makes a situation.
type change struct {
	// Create is merged into the manifest before, Update after the object was created and
	// has come to rest.
	Create map[string]any `json:"create"`
	Update map[string]any `json:"update"`
	// Quiet is for how long a status that is to stay as it is does not change, in seconds.
	Quiet int `json:"quiet"`
	// Until is a field that is there in the end, with dots in between.
	Until string `json:"until"`
	// Why says why the fleet has another answer.
	Why string `json:"why"`
}

// cell is a kind in a situation.
type cell struct {
	subject   *subject
	situation *situation
	change    *change
	// created and desired are the object as it is created, and as it is in the end.
	created, desired *unstructured.Unstructured
	with             []*unstructured.Unstructured
	// fleet and plain are what waiters said.
	fleet, plain *answers
}

func (c *cell) String() string { return c.subject.Kind + ", " + c.situation.Name }

// namespace is the cell's own.
func (c *cell) namespace() string {
	return strings.ToLower(strings.ReplaceAll(c.subject.Kind+"-"+c.situation.Name, " ", "-"))
}

// reference is how kubectl calls the object.
func (c *cell) reference() string {
	kind := c.desired.GroupVersionKind().GroupKind()
	return strings.ToLower(kind.String()) + "/" + c.desired.GetName()
}

// quiet is for how long a status that is to stay as it is does not change.
func (c *cell) quiet() time.Duration { return time.Duration(max(c.change.Quiet, 4)) * time.Second }

// readMatrix reads and checks the table.
func readMatrix() (*matrix, error) {
	m := &matrix{}
	if err := yaml.UnmarshalStrict(matrixYAML, m); err != nil {
		return nil, err
	}
	for _, subject := range m.Subjects {
		known := map[string]bool{}
		for _, situation := range m.Situations {
			known[situation.Name] = true
			of, ok := subject.Situations[situation.Name]
			if !ok {
				continue
			}
			c, err := newCell(subject, situation, of)
			if err != nil {
				return nil, fmt.Errorf("read %s, %s: %w", subject.Kind, situation.Name, err)
			}
			m.cells = append(m.cells, c)
		}
		for _, name := range slices.Sorted(maps.Keys(subject.Situations)) {
			if !known[name] {
				return nil, fmt.Errorf("read %s: there is no situation %q", subject.Kind, name)
			}
		}
	}
	return m, nil
}

func newCell(subject *subject, situation *situation, of *change) (*cell, error) {
	if of == nil {
		of = &change{}
	}
	if like := subject.Situations[situation.Like]; like != nil {
		create := of.Create
		if create == nil {
			create = like.Create
		}
		of = &change{Create: create, Update: like.Update, Quiet: max(of.Quiet, like.Quiet), Until: like.Until, Why: of.Why}
	}
	c := &cell{subject: subject, situation: situation, change: of}
	base := (&unstructured.Unstructured{Object: subject.Manifest}).DeepCopy()
	base.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "Helm"})
	base.SetAnnotations(map[string]string{"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": c.namespace()})
	var err error
	if c.created, err = merge(base, of.Create); err != nil {
		return nil, err
	}
	if c.desired, err = merge(c.created, of.Update); err != nil {
		return nil, err
	}
	c.with = []*unstructured.Unstructured{}
	for _, other := range subject.With {
		c.with = append(c.with, (&unstructured.Unstructured{Object: other}).DeepCopy())
	}
	for _, object := range append(c.with, c.created, c.desired) {
		if object.GetKind() == "CustomResourceDefinition" {
			continue
		}
		object.SetNamespace(c.namespace())
	}
	return c, nil
}

// patchType is how an object is patched.
func patchType(kind schema.GroupVersionKind) types.PatchType {
	if scheme.Scheme.Recognizes(kind) {
		return types.StrategicMergePatchType
	}
	return types.MergePatchType
}

// merge returns an object with a patch in it, as the API server would.
func merge(object *unstructured.Unstructured, patch map[string]any) (*unstructured.Unstructured, error) {
	object = object.DeepCopy()
	if len(patch) == 0 {
		return object, nil
	}
	kind := object.GroupVersionKind()
	if patchType(kind) == types.StrategicMergePatchType {
		typed, err := scheme.Scheme.New(kind)
		if err != nil {
			return nil, err
		}
		merged, err := strategicpatch.StrategicMergeMapPatch(object.Object, patch, typed)
		return &unstructured.Unstructured{Object: merged}, err
	}
	before, err := json.Marshal(object.Object)
	if err != nil {
		return nil, err
	}
	change, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	after, err := jsonpatch.MergePatch(before, change)
	if err != nil {
		return nil, err
	}
	merged := &unstructured.Unstructured{}
	return merged, merged.UnmarshalJSON(after)
}
