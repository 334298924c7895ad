// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleetapi

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"fleet.dev/fleet/test/integration/harness"
)

// fleet is the server of all tests.
var fleet *harness.APIServer

func TestMain(m *testing.M) {
	os.Exit(harness.Main(m, func(ctx context.Context, server *harness.APIServer) error {
		fleet = server
		for _, namespace := range []string{"shop", "fleet-cluster-m1"} {
			object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
			if _, err := server.Kube.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// A resource is where a kind is served, with an object of it that is valid.
type resource struct {
	kind      string
	group     string
	namespace string // empty when cluster-scoped
	plural    string
	valid     string // without apiVersion and kind
}

func (r resource) path() string {
	path := "/apis/" + r.group + "/v1alpha1"
	if r.namespace != "" {
		path += "/namespaces/" + r.namespace
	}
	return path + "/" + r.plural
}

// named is the resource with a valid object of another name.
func (r resource) named(name string) resource {
	object := r.object(nil)
	object["metadata"] = map[string]any{"name": name}
	r.valid = encode(object)
	return r
}

// object returns the valid object after change.
func (r resource) object(change func(map[string]any)) map[string]any {
	object := decode(r.valid)
	object["apiVersion"], object["kind"] = r.group+"/v1alpha1", r.kind
	if change != nil {
		change(object)
	}
	return object
}

const (
	propagation = `
metadata: {name: web}
spec:
  resourceSelectors: [{apiVersion: apps/v1, kind: Deployment}]
`
	override = `
metadata: {name: web}
spec:
  overrideRules: [{overriders: {labelsOverrider: [{operator: add, value: {tier: gold}}]}}]
`
)

// The kinds of the fleet.
var (
	clusters = resource{kind: "Cluster", group: "cluster.fleet.dev", plural: "clusters", valid: `
metadata: {name: m1}
spec: {syncMode: Push, apiEndpoint: "https://192.0.2.1:6443"}
`}
	propagationPolicies = resource{
		kind: "PropagationPolicy", group: "policy.fleet.dev", namespace: "shop", plural: "propagationpolicies", valid: propagation,
	}
	clusterPropagationPolicies = resource{
		kind: "ClusterPropagationPolicy", group: "policy.fleet.dev", plural: "clusterpropagationpolicies", valid: propagation,
	}
	overridePolicies = resource{
		kind: "OverridePolicy", group: "policy.fleet.dev", namespace: "shop", plural: "overridepolicies", valid: override,
	}
	clusterOverridePolicies = resource{
		kind: "ClusterOverridePolicy", group: "policy.fleet.dev", plural: "clusteroverridepolicies", valid: override,
	}
	resourceBindings = resource{kind: "ResourceBinding", group: "work.fleet.dev", namespace: "shop", plural: "resourcebindings", valid: `
metadata: {name: web-deployment}
spec:
  resource: {apiVersion: apps/v1, kind: Deployment, namespace: shop, name: web, uid: "1"}
`}
	clusterResourceBindings = resource{kind: "ClusterResourceBinding", group: "work.fleet.dev", plural: "clusterresourcebindings", valid: `
metadata: {name: reader-clusterrole}
spec:
  resource: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, name: reader, uid: "1"}
`}
	workFeedbacks = resource{kind: "WorkFeedback", group: "work.fleet.dev", namespace: "fleet-cluster-m1", plural: "workfeedbacks", valid: `
spec:
  items: [{name: web-deployment-1b2c3d4e, templateUID: "1", applied: true, health: Healthy}]
`}
	works = resource{
		kind: "Work", group: "work.fleet.dev", namespace: "fleet-cluster-m1", plural: "works", valid: "metadata: {name: web}",
	}
	customizations = resource{
		kind: "ResourceInterpreterCustomization", group: "config.fleet.dev", plural: "resourceinterpretercustomizations", valid: `
metadata: {name: database}
spec:
  target: {apiVersion: example.com/v1, kind: Database}
  customizations: {healthInterpretation: {expression: object.status.ready}}
`,
	}
	rebalancers = resource{kind: "WorkloadRebalancer", group: "apps.fleet.dev", plural: "workloadrebalancers", valid: `
metadata: {name: monday}
spec:
  workloads: [{apiVersion: apps/v1, kind: Deployment, namespace: shop, name: web}]
`}

	// stored are those that can be created and read back.
	stored = []resource{
		clusters, propagationPolicies, clusterPropagationPolicies, overridePolicies, clusterOverridePolicies,
		resourceBindings, clusterResourceBindings, customizations, rebalancers,
	}
	all = append([]resource{works, workFeedbacks}, stored...)
)

func decode(text string) map[string]any {
	object := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		panic(err) // a mistake in this file
	}
	return object
}

func encode(object map[string]any) string {
	data, err := yaml.Marshal(object)
	if err != nil {
		panic(err) // a mistake in this file
	}
	return string(data)
}

// merge applies a merge patch written in YAML.
func merge(object map[string]any, patch string) {
	mergeMaps(object, decode(patch))
}

func mergeMaps(into, patch map[string]any) {
	for key, value := range patch {
		before, ok := into[key].(map[string]any)
		if change, isMap := value.(map[string]any); isMap && ok {
			mergeMaps(before, change)
			continue
		}
		if value == nil {
			delete(into, key)
			continue
		}
		into[key] = value
	}
}

// client sends requests with bodies as they are.
func client() rest.Interface { return fleet.Kube.Discovery().RESTClient() }

func post(t *testing.T, r resource, object map[string]any, params ...string) rest.Result {
	t.Helper()
	request := client().Post().AbsPath(r.path()).SetHeader("Content-Type", "application/yaml").Body([]byte(encode(object)))
	for _, param := range params {
		key, value, _ := strings.Cut(param, "=")
		request.Param(key, value)
	}
	return request.Do(t.Context())
}

// create stores the resource's valid object, changed by patch, and returns what
// the server made of it. It is removed when the test ends.
func create(t *testing.T, r resource, patch string) map[string]any {
	t.Helper()
	object := r.object(func(object map[string]any) { merge(object, patch) })
	data, err := post(t, r, object, "fieldValidation=Strict").Raw()
	if err != nil {
		t.Fatalf("create %s: %v", r.kind, describe(err))
	}
	t.Cleanup(func() {
		path := r.path() + "/" + nameOf(object)
		if err := client().Delete().AbsPath(path).Do(withoutCancel(t)).Error(); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("clean up %s: %v", path, err)
		}
	})
	return decode(string(data))
}

// withoutCancel is for clean-ups, when the context of the test has ended.
func withoutCancel(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}

func nameOf(object map[string]any) string {
	name, _ := object["metadata"].(map[string]any)["name"].(string)
	return name
}

// describe adds the fields an API error is about to its text.
func describe(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err.Error()
	}
	return string(status.Status().Reason) + ": " + err.Error()
}
