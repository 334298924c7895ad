// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/member/fake"
)

const patience = 20 * time.Second

// connected runs a connection to a fake member until the test ends.
func connected(t *testing.T, f *fake.Member, change func(*Options)) (*Member, <-chan error) {
	t.Helper()
	options := Options{
		Name: "one", ID: string(f.UID()), Catalog: &Catalog{}, Clock: clock.RealClock{},
		Access: func(context.Context) (*rest.Config, error) { return f.Config(), nil },
	}
	if change != nil {
		change(&options)
	}
	m, err := Connect(t.Context(), options)
	if err != nil {
		t.Fatalf("Connect(): %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(cancel)
	return m, ended
}

// awaitHealth waits until the health is as wanted.
func awaitHealth(t *testing.T, m *Member, what string, is func(Health) bool) Health {
	t.Helper()
	deadline := time.After(patience)
	for {
		health, changed := m.Health()
		if is(health) {
			return health
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited %s for the member to be %s; it is %+v", patience, what, health)
		}
	}
}

func usable(h Health) bool { return h.Usable }

// await waits until done returns true; ring tells it when to look.
func await(t *testing.T, what string, ring <-chan struct{}, done func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !done() {
		select {
		case <-ring:
		case <-deadline:
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

func TestMemberDiscovers(t *testing.T) {
	f := fake.Start(t)
	changed := make(chan struct{}, 100)
	m, _ := connected(t, f, func(o *Options) { o.APIsChanged = func() { changed <- struct{}{} } })
	deployments := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	await(t, "discovery", changed, func() bool { _, ok := m.APIs().Resource(deployments); return ok })
	if health := awaitHealth(t, m, "ready", func(h Health) bool { return h.Ready }); health.Version != "v1.36.3" {
		t.Errorf("Health().Version is %q, want the member's", health.Version)
	}

	widgets := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}
	if _, ok := m.APIs().Resource(widgets); ok {
		t.Fatal("Resource() of a kind that is not served: found")
	}
	// A CRD is created; nobody asks for a refresh.
	f.Serve(fake.Kind{GroupVersionKind: widgets, Resource: "widgets", Namespaced: true})
	f.Put(t, fake.Manifest(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.com}}`))
	await(t, "the new kind to be found", changed, func() bool { _, ok := m.APIs().Resource(widgets); return ok })
}

func TestMemberSchemas(t *testing.T) {
	f := fake.Start(t)
	catalog := &Catalog{}
	one, _ := connected(t, f, func(o *Options) { o.Catalog = catalog })
	other, _ := connected(t, f, func(o *Options) { o.Catalog = catalog; o.Name = "other" })
	kind := schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	first, err := one.Schema(t.Context(), kind)
	if err != nil {
		t.Fatalf("Schema(): %v", err)
	}
	second, err := other.Schema(t.Context(), kind)
	if err != nil {
		t.Fatalf("Schema(): %v", err)
	}
	if first != second {
		t.Error("Schema(): members with the same document do not share it")
	}
	unknown, err := one.Schema(t.Context(), schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"})
	if err != nil || unknown != deduced {
		t.Errorf("Schema() of a kind without one: %v, %v, want the deduced one", unknown, err)
	}
}

func TestMemberHealth(t *testing.T) {
	f := fake.Start(t)
	m, _ := connected(t, f, nil)
	awaitHealth(t, m, "ready", func(h Health) bool { return h.Ready })
	f.SetUnready("etcd is away")
	m.probeNow.ring()
	health := awaitHealth(t, m, "not ready", func(h Health) bool { return !h.Ready })
	if !health.Usable || health.Reason != clusterv1alpha1.ClusterReasonNotReady || !strings.Contains(health.Message, "etcd is away") {
		t.Errorf("Health() of a member that is not ready: %+v, want it usable and its words in the message", health)
	}
}

func TestMemberIsAnother(t *testing.T) {
	f := fake.Start(t)
	m, _ := connected(t, f, func(o *Options) { o.ID = "the-one-that-joined" })
	health := awaitHealth(t, m, "recognized", func(h Health) bool { return h.Reason != "" })
	if health.Usable || health.Reason != clusterv1alpha1.ClusterReasonIdentityMismatch {
		t.Errorf("Health() of a cluster that is not the one that joined: %+v, want it not usable for its identity", health)
	}
}

func TestMemberTokenIsRotated(t *testing.T) {
	f := fake.Start(t)
	var token atomic.Pointer[string]
	first, second := fake.Token, "rotated"
	token.Store(&first)
	m, _ := connected(t, f, func(o *Options) {
		o.Access = func(context.Context) (*rest.Config, error) {
			config := f.Config()
			config.BearerToken = *token.Load()
			return config, nil
		}
	})
	awaitHealth(t, m, "usable", usable)
	f.SetToken(second)
	m.probeNow.ring()
	health := awaitHealth(t, m, "refused", func(h Health) bool { return !h.Usable })
	if !health.Reachable || health.Reason != clusterv1alpha1.ClusterReasonCredentialsInvalid {
		t.Errorf("Health() with a token that is refused: %+v, want it reachable, not usable", health)
	}
	token.Store(&second)
	awaitHealth(t, m, "usable with the new token", usable)
}

func TestMemberMoves(t *testing.T) {
	f := fake.Start(t)
	var moved atomic.Bool
	m, ended := connected(t, f, func(o *Options) {
		o.Access = func(context.Context) (*rest.Config, error) {
			config := f.Config()
			if moved.Load() {
				config.Host = "https://127.0.0.1:1"
			}
			return config, nil
		}
	})
	awaitHealth(t, m, "usable", usable)
	moved.Store(true)
	f.SetToken("another") // so that it looks for what changed
	m.probeNow.ring()
	select {
	case err := <-ended:
		if !errors.Is(err, ErrMoved) {
			t.Errorf("Run() after the member moved: %v, want ErrMoved", err)
		}
	case <-time.After(patience):
		t.Error("Run() goes on though the member moved")
	}
}
