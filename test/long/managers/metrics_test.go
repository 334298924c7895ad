// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package managers

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// metricsVersion is the API version that is served.
var metricsVersion = schema.GroupVersion{Group: "external.metrics.k8s.io", Version: "v1beta1"}

// meter serves one external metric, whose value a test sets.
type meter struct {
	value atomic.Int64
}

// ServeHTTP implements http.Handler.
func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch path := "/apis/" + metricsVersion.String(); {
	case r.URL.Path == path:
		answer = metav1.APIResourceList{
			TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
			GroupVersion: metricsVersion.String(), APIResources: []metav1.APIResource{},
		}
	case strings.HasPrefix(r.URL.Path, path+"/namespaces/"):
		answer = map[string]any{
			"kind": "ExternalMetricValueList", "apiVersion": metricsVersion.String(), "metadata": map[string]any{},
			"items": []any{map[string]any{
				"metricName": "load", "metricLabels": map[string]any{}, "timestamp": time.Now().UTC().Format(time.RFC3339),
				"value": strconv.FormatInt(m.value.Load(), 10),
			}},
		}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// serveMetrics has a member find the meter as an aggregated API, the way it finds one
// that runs in it.
func serveMetrics(t *testing.T, objects dynamic.Interface) *meter {
	t.Helper()
	m := &meter{}
	server := httptest.NewTLSServer(m)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(address.Host)
	if err != nil {
		t.Fatal(err)
	}
	create(t, objects, schema.GroupVersionResource{Version: "v1", Resource: "services"}, "default", fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: metrics}
spec: {type: ExternalName, externalName: localhost, ports: [{port: %s}]}
`, port))
	services := schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	name := metricsVersion.Version + "." + metricsVersion.Group
	create(t, objects, services, "", fmt.Sprintf(`
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: %s}
spec:
  group: %s
  version: %s
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {namespace: default, name: metrics, port: %s}
`, name, metricsVersion.Group, metricsVersion.Version, port))
	eventually(t, "the metrics to be served", func(ctx context.Context) error {
		service, err := objects.Resource(services).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(service.Object, "status", "conditions")
		if err != nil || len(conditions) == 0 || conditions[0].(map[string]any)["status"] != "True" {
			return fmt.Errorf("its conditions are %v, %w", conditions, err)
		}
		return nil
	})
	return m
}
