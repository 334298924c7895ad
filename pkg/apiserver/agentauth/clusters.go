// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
	clusterinformers "fleet.dev/fleet/pkg/generated/informers/externalversions/cluster/v1alpha1"
)

// byID is the index of Clusters by spec.id.
const byID = "id"

// errNotSynced says that it is too early to decide. Requests fail with it as an
// internal error, so that agents try again and do not take it for a refusal.
var errNotSynced = errors.New("the clusters of the fleet are not loaded yet")

// Clusters holds what trust in agents depends on, kept by a watch. Connect comes
// before everything else.
type Clusters struct {
	informer cache.SharedIndexInformer
}

// Connect makes the cache read with a client of the server itself.
func (c *Clusters) Connect(fleetClient fleetclient.Interface) error {
	c.informer = clusterinformers.NewClusterInformer(fleetClient, 0, cache.Indexers{byID: indexByID})
	if err := c.informer.SetTransform(trim); err != nil {
		return fmt.Errorf("watch clusters for the agents' rights: %w", err)
	}
	return nil
}

// Run keeps the cache until ctx ends.
func (c *Clusters) Run(ctx context.Context) { c.informer.RunWithContext(ctx) }

// HasSynced returns whether all Clusters have been seen once.
func (c *Clusters) HasSynced() bool { return c.informer != nil && c.informer.HasSynced() }

// Name names the check of readiness.
func (c *Clusters) Name() string { return "fleet-agent-trust" }

// Check holds readiness back until agents can be told apart.
func (c *Clusters) Check(*http.Request) error {
	if !c.HasSynced() {
		return errNotSynced
	}
	return nil
}

// NamesWithID returns the names of the Clusters with the given spec.id.
func (c *Clusters) NamesWithID(id string) ([]string, error) {
	if !c.HasSynced() {
		return nil, errNotSynced
	}
	return c.informer.GetIndexer().IndexKeys(byID, id)
}

// Refuse returns why an agent that is who it says may nevertheless do nothing;
// empty when it may.
func (c *Clusters) Refuse(i identity.Identity) (reason string, err error) {
	if !c.HasSynced() {
		return "", errNotSynced
	}
	found, exists, err := c.informer.GetStore().GetByKey(i.Cluster)
	if err != nil {
		return "", err
	}
	cluster, _ := found.(*clusterv1alpha1.Cluster)
	if !exists {
		cluster = nil
	}
	return refuse(cluster, i), nil
}

// onChange calls changed with the name of every Cluster that is written, and gone
// with that of every Cluster that goes.
func (c *Clusters) onChange(changed, gone func(name string)) error {
	tell := func(whom func(string), object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			whom(key)
		}
	}
	_, err := c.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(_, updated any) { tell(changed, updated) },
		DeleteFunc: func(deleted any) { tell(gone, deleted) },
	})
	return err
}

// refuse compares the Cluster, nil when there is none, with who the agent is.
func refuse(cluster *clusterv1alpha1.Cluster, i identity.Identity) string {
	switch {
	case cluster == nil:
		return fmt.Sprintf("cluster %q is not in the fleet", i.Cluster)
	case cluster.Spec.SyncMode != clusterv1alpha1.Pull:
		return fmt.Sprintf("cluster %q is not in mode Pull", i.Cluster)
	case !cluster.Spec.Accepted:
		return fmt.Sprintf("cluster %q is not accepted; an administrator accepts it with \"fleet accept %s\"", i.Cluster, i.Cluster)
	case i.ID == "" || cluster.Spec.ID != i.ID:
		return fmt.Sprintf("cluster %q is another one than that with id %q", i.Cluster, i.ID)
	case i.Registration == "" || cluster.Annotations[wellknown.AnnotationRegistrationKey] != i.Registration:
		return fmt.Sprintf("cluster %q has been registered with another key than %s", i.Cluster, i.Registration)
	}
	return ""
}

func indexByID(object any) ([]string, error) {
	cluster, ok := object.(*clusterv1alpha1.Cluster)
	if !ok || cluster.Spec.ID == "" {
		return nil, nil
	}
	return []string{cluster.Spec.ID}, nil
}

// trim drops all that trust does not depend on.
func trim(object any) (any, error) {
	cluster, ok := object.(*clusterv1alpha1.Cluster)
	if !ok {
		return object, nil
	}
	return &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{
			Name: cluster.Name, UID: cluster.UID, ResourceVersion: cluster.ResourceVersion,
			Annotations: registrationOnly(cluster.Annotations),
		},
		Spec: clusterv1alpha1.ClusterSpec{ID: cluster.Spec.ID, SyncMode: cluster.Spec.SyncMode, Accepted: cluster.Spec.Accepted},
	}, nil
}

func registrationOnly(annotations map[string]string) map[string]string {
	key, ok := annotations[wellknown.AnnotationRegistrationKey]
	if !ok {
		return nil
	}
	return map[string]string{wellknown.AnnotationRegistrationKey: key}
}
