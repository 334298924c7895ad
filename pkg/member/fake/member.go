// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// Kind is a kind a Member serves.
type Kind struct {
	schema.GroupVersionKind
	Resource   string
	Namespaced bool
}

// DefaultKinds are served by every new Member.
func DefaultKinds() []Kind {
	return []Kind{
		{schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, "namespaces", false},
		{schema.GroupVersionKind{Version: "v1", Kind: "Node"}, "nodes", false},
		{schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, "pods", true},
		{schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "configmaps", true},
		{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "deployments", true},
		{schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, "customresourcedefinitions", false},
		{schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}, "apiservices", false},
	}
}

// Token is the bearer token a new Member takes.
const Token = "fake-token"

// Member is a fake member. It ends with the test.
type Member struct {
	server  *httptest.Server
	schemas *schemas

	mu       sync.Mutex
	kinds    []Kind
	objects  map[schema.GroupVersionResource]map[string]*unstructured.Unstructured
	watchers map[*watcher]struct{}
	// changes are the latest, oldest first; forgotten is the version of the last before.
	changes   []change
	forgotten int64
	version   int64 // the last resourceVersion
	requests  map[string]int
	token     string
	fail      func(Request) *apierrors.StatusError
	hold      func(Request) <-chan struct{}
	unready   string
	// undiscovered is the version whose discovery fails.
	undiscovered schema.GroupVersion
	// normalize is what the server makes of objects it is sent.
	normalize func(*unstructured.Unstructured)
}

// Request is a request to a Member.
type Request struct {
	// Verb is get, list, watch, create, update, patch, apply or delete.
	Verb string
	// Resource, Namespace and Name say what it is about.
	Resource, Namespace, Name string
	// DryRun says that nothing is to be stored, which only create knows.
	DryRun bool
}

// Start returns a running Member that has the namespaces kube-system and default.
func Start(tb testing.TB) *Member {
	tb.Helper()
	m := &Member{
		schemas:  newSchemas(tb),
		kinds:    DefaultKinds(),
		objects:  map[schema.GroupVersionResource]map[string]*unstructured.Unstructured{},
		watchers: map[*watcher]struct{}{},
		requests: map[string]int{},
		token:    Token,
	}
	m.server = httptest.NewTLSServer(m)
	tb.Cleanup(func() {
		// Clients dial again at once: without a listener they cannot, and Close does
		// not wait for what they watch.
		if err := m.server.Listener.Close(); err != nil {
			tb.Errorf("stop to listen: %v", err)
		}
		m.server.CloseClientConnections()
		m.server.Close()
	})
	for _, name := range []string{metav1.NamespaceSystem, metav1.NamespaceDefault} {
		m.Put(tb, Manifest(tb, `{apiVersion: v1, kind: Namespace, metadata: {name: `+name+`}}`))
	}
	m.ResetRequests()
	return m
}

// Config reaches the Member with Token.
func (m *Member) Config() *rest.Config {
	return &rest.Config{Host: m.server.URL, BearerToken: Token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

// SetToken changes the only token the Member takes.
func (m *Member) SetToken(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token = token
}

// SetUnready makes /readyz answer 500 with the message, or 200 when it is empty.
func (m *Member) SetUnready(message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unready = message
}

// FailRequests makes the Member answer with what fail returns, unless that is
// nil. A nil fail makes it behave again.
func (m *Member) FailRequests(fail func(Request) *apierrors.StatusError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

// HoldRequests makes the Member answer only when the channel is closed that hold
// returns, unless that is nil. A nil hold makes it answer at once again.
func (m *Member) HoldRequests(hold func(Request) <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hold = hold
}

// FailDiscovery makes discovery of one version fail, as when its aggregated API
// server is down. The empty version makes all of it work again.
func (m *Member) FailDiscovery(gv schema.GroupVersion) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.undiscovered = gv
}

// Normalize has the Member change every object it is sent before it is stored.
func (m *Member) Normalize(normalize func(*unstructured.Unstructured)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.normalize = normalize
}

// Serve adds a kind, without a schema of its own.
func (m *Member) Serve(kind Kind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kinds = append(m.kinds, kind)
}

// Withdraw stops serving a kind.
func (m *Member) Withdraw(kind schema.GroupVersionKind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kinds = slices.DeleteFunc(m.kinds, func(k Kind) bool { return k.GroupVersionKind == kind })
}

// Requests returns how many requests came since the last ResetRequests, as
// "verb resource": number. Watches and probes are not counted.
func (m *Member) Requests() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.requests)
}

// Writes returns the number of requests that are to change something.
func (m *Member) Writes() int {
	n := 0
	for request, count := range m.Requests() {
		verb, _, _ := strings.Cut(request, " ")
		if !slices.Contains([]string{"get", "list"}, verb) {
			n += count
		}
	}
	return n
}

// ResetRequests starts counting anew.
func (m *Member) ResetRequests() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.requests)
}

// Put creates the object or replaces it, as somebody who is not the fleet.
func (m *Member) Put(tb testing.TB, object *unstructured.Unstructured) *unstructured.Unstructured {
	tb.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	kind := m.kindOf(object.GroupVersionKind())
	if kind == nil {
		tb.Fatalf("put %s: the member does not serve it", object.GroupVersionKind())
	}
	stored, err := m.replace(*kind, object.DeepCopy(), "somebody", false)
	if err != nil {
		tb.Fatalf("put %s %s: %v", object.GetKind(), object.GetName(), err)
	}
	return stored.DeepCopy()
}

// Edit changes an object as somebody who is not the fleet; status too.
func (m *Member) Edit(tb testing.TB, kind, namespace, name string, edit func(*unstructured.Unstructured)) {
	tb.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	served, live := m.find(kind, namespace, name)
	if live == nil {
		tb.Fatalf("edit %s %s/%s: it does not exist", kind, namespace, name)
	}
	edited := live.DeepCopy()
	edit(edited)
	if _, err := m.replace(served, edited, "somebody", true); err != nil {
		tb.Fatalf("edit %s %s/%s: %v", kind, namespace, name, err)
	}
}

// Remove takes an object away, whatever its finalizers.
func (m *Member) Remove(tb testing.TB, kind, namespace, name string) {
	tb.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	served, live := m.find(kind, namespace, name)
	if live == nil {
		tb.Fatalf("remove %s %s/%s: it does not exist", kind, namespace, name)
	}
	m.drop(served, live)
}

// Get returns an object, nil when it does not exist.
func (m *Member) Get(kind, namespace, name string) *unstructured.Unstructured {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, live := m.find(kind, namespace, name); live != nil {
		return live.DeepCopy()
	}
	return nil
}

// UID returns the uid of the kube-system namespace, which identifies the member.
func (m *Member) UID() types.UID { return m.Get("Namespace", "", metav1.NamespaceSystem).GetUID() }

// Manifest reads an object from YAML.
func Manifest(tb testing.TB, text string) *unstructured.Unstructured {
	tb.Helper()
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(toJSON(tb, text)); err != nil {
		tb.Fatalf("decode manifest: %v", err)
	}
	return object
}

// ServeHTTP implements http.Handler.
func (m *Member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	token, unready := m.token, m.unready
	m.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Bearer "+token:
		answerError(w, apierrors.NewUnauthorized("Unauthorized"))
	case r.URL.Path == "/readyz" && unready != "":
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(unready))
	case r.URL.Path == "/readyz":
		_, _ = w.Write([]byte("ok"))
	case r.URL.Path == "/version":
		answer(w, http.StatusOK, map[string]string{"major": "1", "minor": "36", "gitVersion": "v1.36.3"})
	case strings.HasPrefix(r.URL.Path, "/openapi/v3"):
		m.schemas.serve(w, r)
	case m.serveDiscovery(w, r):
	default:
		m.serveObjects(w, r)
	}
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(http.ErrAbortHandler) // the client sees that the answer broke off
	}
}

func answerError(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	answer(w, int(status.Code), status)
}
