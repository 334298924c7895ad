// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	"fleet.dev/fleet/test/e2e/witness"
	"fleet.dev/fleet/test/testbed"
	"fleet.dev/fleet/test/testbed/toolchain"
)

// Names of the members, by the release they run.
const (
	old     = "old"
	current = "current"
)

// cluster is the fleet or a member, as its administrator sees it.
type cluster struct {
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.ResettableRESTMapper
	client    dynamic.Interface
	version   string
}

func newCluster(config *rest.Config) (*cluster, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	version, err := discoverer.ServerVersion()
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(discoverer)
	return &cluster{discovery: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached), client: client, version: version.GitVersion}, nil
}

// objects returns how a kind is reached, in one of the versions if the cluster serves
// it or else in another, nil when it serves none.
func (c *cluster) objects(kind schema.GroupKind, versions ...string) (dynamic.ResourceInterface, error) {
	mapping, err := c.mapper.RESTMapping(kind, versions...)
	if meta.IsNoMatchError(err) && len(versions) > 0 {
		mapping, err = c.mapper.RESTMapping(kind)
	}
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.client.Resource(mapping.Resource).Namespace(namespace), nil
	}
	return c.client.Resource(mapping.Resource), nil
}

// get returns an object, in the version of the kind if that is served, nil when there
// is none.
func (c *cluster) get(ctx context.Context, kind schema.GroupVersionKind, name string) (*unstructured.Unstructured, error) {
	objects, err := c.objects(kind.GroupKind(), kind.Version)
	if err != nil || objects == nil {
		return nil, err
	}
	object, err := objects.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
		return nil, nil
	}
	return object, err
}

// stage is a fleet over both members.
type stage struct {
	repo    string
	fleet   *cluster
	work    fleetclient.Interface
	members map[string]*cluster
	audit   map[string]witness.AuditLog
}

// newStage starts everything and stops it when the test ends.
func newStage(t *testing.T) *stage {
	t.Helper()
	repo, err := toolchain.Repo(".")
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{repo: repo, members: map[string]*cluster{}, audit: map[string]witness.AuditLog{}}
	bin, dir := filepath.Join(repo, "_bin"), filepath.Join(repo, "_run", "kinds")
	bed, err := testbed.OpenEmpty(t.Context(), testbed.Config{Dir: dir, Bin: bin, Report: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bed.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("stop: %v", err)
		}
		_ = bed.Close()
	})
	configs := []testbed.MemberConfig{
		{
			Name: old, Bin: filepath.Join(bin, toolchain.OldRelease),
			// A kind that the fleet serves in another version.
			Flags: map[string][]string{"kube-apiserver": {"--feature-gates=VolumeAttributesClass=true", "--runtime-config=storage.k8s.io/v1beta1=true"}},
		},
		{Name: current},
	}
	for i := range configs {
		audit := filepath.Join(t.TempDir(), configs[i].Name)
		if err := witness.WriteAuditPolicy(audit+".yaml", "system:serviceaccounts:"+wellknown.NamespaceSystem); err != nil {
			t.Fatal(err)
		}
		if configs[i].Flags == nil {
			configs[i].Flags = map[string][]string{}
		}
		flags := configs[i].Flags["kube-apiserver"]
		configs[i].Flags["kube-apiserver"] = append(flags, "--audit-policy-file="+audit+".yaml", "--audit-log-path="+audit+".log")
		s.audit[configs[i].Name] = witness.AuditLog{File: audit + ".log"}
	}
	members, err := bed.StartMembers(t.Context(), configs...)
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := bed.StartFleet(t.Context(), testbed.FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range members {
		if err := fleet.Join(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		s.members[m.Name()] = mustCluster(t, m.RESTConfig)
	}
	if err := fleet.AwaitReady(t.Context(), members...); err != nil {
		t.Fatal(err)
	}
	s.fleet = mustCluster(t, fleet.RESTConfig)
	config, err := fleet.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	if s.work, err = fleetclient.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustCluster(t *testing.T, config func() (*rest.Config, error)) *cluster {
	t.Helper()
	c, err := config()
	if err != nil {
		t.Fatal(err)
	}
	made, err := newCluster(c)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// document is the file that tells the results.
func (s *stage) document() string { return filepath.Join(s.repo, "docs", "kinds.md") }

func (s *stage) writeDocument(text string) error {
	return os.WriteFile(s.document(), []byte(text), 0o644)
}

// errNotYet says what is still missing.
type errNotYet string

func (e errNotYet) Error() string { return string(e) }

func notYet(format string, args ...any) error { return errNotYet(fmt.Sprintf(format, args...)) }
