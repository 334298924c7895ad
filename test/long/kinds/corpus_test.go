// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"embed"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

//go:embed testdata/*.yaml
var testdata embed.FS

const (
	// namespace of the objects that have one.
	namespace = "corpus"
	// mark is the label by which the policy of the test selects the objects.
	mark = "corpus.example.com/object"
)

// entry is an object of the corpus and what is done with it.
type entry struct {
	Object map[string]any `json:"object"`
	Update map[string]any `json:"update"`
	Status map[string]any `json:"status"`
	Shows  map[string]any `json:"shows"`

	// definition is the CustomResourceDefinition of the kind, nil for native ones.
	definition *unstructured.Unstructured
	// operator is whose kind it is, empty for native ones.
	operator string
	// name of the object in the fleet, once it was created.
	name string
}

func (e *entry) object() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: e.Object}
}

func (e *entry) kind() schema.GroupVersionKind { return e.object().GroupVersionKind() }

// key is the kind as people write it.
func (e *entry) key() string { return e.kind().GroupKind().String() }

// shows is what the status in the fleet is to have.
func (e *entry) shows() map[string]any {
	if e.Shows != nil {
		return e.Shows
	}
	return e.Status
}

// custom is a kind of an operator and an object of it.
type custom struct {
	Operator     string         `json:"operator"`
	Group        string         `json:"group"`
	Kind         string         `json:"kind"`
	Plural       string         `json:"plural"`
	Versions     []string       `json:"versions"`
	Cluster      bool           `json:"cluster"`
	Status       bool           `json:"status"`
	Scale        map[string]any `json:"scale"`
	Schema       map[string]any `json:"schema"`
	GenerateName bool           `json:"generateName"`
	Name         string         `json:"name"`
	Sample       map[string]any `json:"sample"`
	Update       map[string]any `json:"update"`
	Reported     map[string]any `json:"reported"`
	Shows        map[string]any `json:"shows"`
}

// conditions is the schema of most lists of conditions.
const conditions = `{type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [type], items: {type: object, required: [type, status],
 properties: {type: {type: string}, status: {type: string, enum: ["True", "False", Unknown]}, reason: {type: string}, message: {type: string},
 observedGeneration: {type: integer, format: int64}, lastTransitionTime: {type: string, format: date-time}}}}`

// corpus reads all entries.
func corpus() ([]*entry, error) {
	request, err := signingRequest()
	if err != nil {
		return nil, err
	}
	entries, err := documents[entry]("testdata/native.yaml", "PLACEHOLDER", request)
	if err != nil {
		return nil, err
	}
	customs, err := documents[custom]("testdata/custom.yaml", "$CONDITIONS", strings.ReplaceAll(conditions, "\n", ""))
	if err != nil {
		return nil, err
	}
	for _, c := range customs {
		entries = append(entries, c.entry())
	}
	return entries, nil
}

// documents decodes each document of a file after replacing a word in it.
func documents[T any](file, word, by string) ([]*T, error) {
	raw, err := testdata.ReadFile(file)
	if err != nil {
		return nil, err
	}
	raw = bytes.ReplaceAll(raw, []byte(word), []byte(by))
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(raw)))
	var out []*T
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		decoded := new(T)
		if err := yaml.UnmarshalStrict(document, decoded); err != nil {
			return nil, fmt.Errorf("read document %d of %s: %w", len(out)+1, file, err)
		}
		out = append(out, decoded)
	}
}

// entry makes the CustomResourceDefinition and the object.
func (c *custom) entry() *entry {
	object := &unstructured.Unstructured{Object: c.Sample}
	object.SetAPIVersion(c.Group + "/" + c.Versions[0])
	object.SetKind(c.Kind)
	e := &entry{Object: c.Sample, Update: c.Update, Status: c.Reported, Shows: c.Shows, operator: c.Operator, definition: c.definition()}
	switch {
	case c.GenerateName:
		object.SetGenerateName("corpus-")
	case c.Name != "":
		object.SetName(c.Name)
	default:
		object.SetName("corpus")
	}
	return e
}

func (c *custom) definition() *unstructured.Unstructured {
	scope := "Namespaced"
	if c.Cluster {
		scope = "Cluster"
	}
	properties := map[string]any{"apiVersion": map[string]any{"type": "string"}, "kind": map[string]any{"type": "string"}, "metadata": map[string]any{"type": "object"}}
	maps.Copy(properties, c.Schema)
	subresources := map[string]any{}
	if c.Status {
		subresources["status"] = map[string]any{}
	}
	if c.Scale != nil {
		subresources["scale"] = c.Scale
	}
	var versions []any
	for i, name := range c.Versions {
		versions = append(versions, map[string]any{
			"name": name, "served": true, "storage": i == 0, "subresources": subresources,
			"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object", "properties": properties}},
		})
	}
	definition := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"spec": map[string]any{
			"group": c.Group, "scope": scope, "versions": versions,
			"names": map[string]any{"kind": c.Kind, "listKind": c.Kind + "List", "plural": c.Plural, "singular": strings.ToLower(c.Kind)},
		},
	}}
	definition.SetName(c.Plural + "." + c.Group)
	if strings.HasSuffix(c.Group, ".k8s.io") {
		definition.SetAnnotations(map[string]string{"api-approved.kubernetes.io": "unapproved, a test"})
	}
	return definition
}

// signingRequest is a certificate signing request, in the form of a manifest.
func signingRequest() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "corpus"}}, key)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}
