// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package accept

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	clientretry "k8s.io/client-go/util/retry"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// Candidate is who asks to be a member.
type Candidate struct {
	// ID is that of the cluster.
	ID string
	// Key is the fingerprint of its key.
	Key string
	// Requester is the user who asked, a bootstrap token. Empty when the request
	// is gone and the Cluster alone remembers the key.
	Requester string
}

// String says who it is in one line.
func (c Candidate) String() string {
	if c.Requester == "" {
		return fmt.Sprintf("id %s, key %s", c.ID, c.Key)
	}
	return fmt.Sprintf("id %s, key %s, requested by %s", c.ID, c.Key, c.Requester)
}

// Waiting returns who asks to be the member, each key once, in the order they
// asked.
func Waiting(ctx context.Context, kube kubernetes.Interface, name string) ([]Candidate, error) {
	var waiting []Candidate
	err := visit(ctx, kube, name, func(object *certificatesv1.CertificateSigningRequest, request identity.Request) {
		candidate := Candidate{ID: request.ID, Key: request.Key, Requester: object.Spec.Username}
		asked := func(c Candidate) bool { return c.ID == candidate.ID && c.Key == candidate.Key }
		if len(object.Status.Conditions) == 0 && !slices.ContainsFunc(waiting, asked) {
			waiting = append(waiting, candidate)
		}
	})
	return waiting, err
}

// Issued returns whether a certificate was issued for the key of a candidate.
func Issued(ctx context.Context, kube kubernetes.Interface, name, key string) (issued bool, err error) {
	err = visit(ctx, kube, name, func(object *certificatesv1.CertificateSigningRequest, request identity.Request) {
		issued = issued || request.Key == key && len(object.Status.Certificate) > 0
	})
	return issued, err
}

// visit calls with every first request for the certificate of a member, oldest
// first.
func visit(ctx context.Context, kube kubernetes.Interface, name string, each func(*certificatesv1.CertificateSigningRequest, identity.Request)) error {
	requests, err := kube.CertificatesV1().CertificateSigningRequests().List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.signerName", identity.Signer).String(),
	})
	if err != nil {
		return fmt.Errorf("list certificate signing requests: %w", err)
	}
	slices.SortStableFunc(requests.Items, func(a, b certificatesv1.CertificateSigningRequest) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	for i := range requests.Items {
		object := &requests.Items[i]
		request, err := identity.ParseRequest(&object.Spec)
		if err == nil && request.Cluster == name && strings.HasPrefix(object.Spec.Username, bootstrapapi.BootstrapUserPrefix) {
			each(object, request)
		}
	}
	return nil
}

// Choose returns the candidate to accept: the one with the given key or, when
// key is empty, the only one there is. It returns false when that one is accepted
// already.
func Choose(cluster *clusterv1alpha1.Cluster, waiting []Candidate, key string) (Candidate, bool, error) {
	if cluster.Spec.SyncMode != clusterv1alpha1.Pull {
		return Candidate{}, false, fmt.Errorf("cluster %q is in mode %s, which needs no acceptance", cluster.Name, cluster.Spec.SyncMode)
	}
	if id := cluster.Spec.ID; id != "" {
		waiting = slices.DeleteFunc(slices.Clone(waiting), func(c Candidate) bool { return c.ID != id })
	}
	registered := Candidate{ID: cluster.Spec.ID, Key: cluster.Annotations[wellknown.AnnotationRegistrationKey]}
	if cluster.Spec.Accepted {
		// What is about to be approved does not count.
		waiting = slices.DeleteFunc(slices.Clone(waiting), func(c Candidate) bool { return c.Key == registered.Key })
	}
	known := registered.Key != "" && registered.ID != ""
	if key != "" {
		for _, candidate := range waiting {
			if candidate.Key == key {
				return candidate, true, nil
			}
		}
		if known && registered.Key == key {
			return registered, !cluster.Spec.Accepted, nil
		}
		return Candidate{}, false, fmt.Errorf("nobody with key %s asks to be cluster %q%s", key, cluster.Name, list(waiting))
	}
	switch {
	case len(waiting) == 1:
		return waiting[0], true, nil
	case len(waiting) > 1:
		return Candidate{}, false, fmt.Errorf("%d ask to be cluster %q; say with --key which is yours%s", len(waiting), cluster.Name, list(waiting))
	case known:
		return registered, !cluster.Spec.Accepted, nil
	}
	return Candidate{}, false, fmt.Errorf("no agent has asked to be cluster %q yet", cluster.Name)
}

func list(candidates []Candidate) string {
	var lines strings.Builder
	for _, candidate := range candidates {
		lines.WriteString("\n  " + candidate.String())
	}
	return lines.String()
}

// errChanged says that the Cluster is not what the administrator saw.
var errChanged = errors.New("it changed in the meantime; look again")

// Accept accepts the member with the key of a candidate. The Cluster has to be
// what the choice was made on.
func Accept(ctx context.Context, fleetClient fleetclient.Interface, seen *clusterv1alpha1.Cluster, candidate Candidate) error {
	clusters := fleetClient.ClusterV1alpha1().Clusters()
	err := clientretry.RetryOnConflict(clientretry.DefaultBackoff, func() error {
		cluster, err := clusters.Get(ctx, seen.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		key := wellknown.AnnotationRegistrationKey
		if cluster.UID != seen.UID || cluster.Spec.ID != seen.Spec.ID || cluster.Annotations[key] != seen.Annotations[key] {
			return errChanged
		}
		cluster.Spec.Accepted, cluster.Spec.ID = true, candidate.ID
		metav1.SetMetaDataAnnotation(&cluster.ObjectMeta, key, candidate.Key)
		_, err = clusters.Update(ctx, cluster, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("accept cluster %q: %w", seen.Name, err)
	}
	return nil
}

// Find returns the Cluster, or an error that says what is missing.
func Find(ctx context.Context, fleetClient fleetclient.Interface, name string) (*clusterv1alpha1.Cluster, error) {
	cluster, err := fleetClient.ClusterV1alpha1().Clusters().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("cluster %q is not in the fleet, and its agent has not asked to join it", name)
	}
	if err != nil {
		return nil, fmt.Errorf("get Cluster %q: %w", name, err)
	}
	return cluster, nil
}
