// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/cert"

	"fleet.dev/fleet/cmd/fleet/accept"
	"fleet.dev/fleet/cmd/fleet/token"
	"fleet.dev/fleet/pkg/apis/cluster/identity"
	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/controllers/registration"
	fleetclient "fleet.dev/fleet/pkg/generated/clientset/versioned"
)

// says returns whether the condition Accepted of a Cluster has a reason and, in
// its message, all the parts.
func says(reason string, parts ...string) func(*clusterv1alpha1.Cluster) bool {
	return func(c *clusterv1alpha1.Cluster) bool {
		condition := meta.FindStatusCondition(c.Status.Conditions, clusterv1alpha1.ClusterConditionAccepted)
		return condition != nil && condition.Reason == reason &&
			!slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(condition.Message, part) })
	}
}

// TestRegistration walks the whole way: token, request, acceptance, certificate,
// rights.
func TestRegistration(t *testing.T) {
	key, fingerprint := newKey(t)
	i := identity.Identity{Cluster: "reg", ID: "id-of-reg", Registration: fingerprint}
	as := withToken(t, token.Options{TTL: time.Hour})
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, as, i, key))

	cluster := clusterWith(t, "reg", "an unknown cluster is written down, and what to do about it",
		says(registration.ReasonNotAccepted, fingerprint, i.ID, "fleet accept reg"))
	if cluster.Spec.SyncMode != clusterv1alpha1.Pull || cluster.Spec.ID != i.ID || cluster.Spec.Accepted ||
		cluster.Annotations[wellknown.AnnotationRegistrationKey] != fingerprint {
		t.Errorf("a new cluster waits in mode Pull with its id and key, got %+v, %v", cluster.Spec, cluster.Annotations)
	}
	eventually(t, "an Event tells the administrator", func(ctx context.Context) (bool, error) {
		events, err := fleet.Kube.CoreV1().Events("").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=reg,reason=" + registration.ReasonNotAccepted})
		return err == nil && len(events.Items) > 0, err
	})
	if found := must[*certificatesv1.CertificateSigningRequest](t)(fleet.Kube.CertificatesV1().CertificateSigningRequests().Get(t.Context(), request.Name, metav1.GetOptions{})); len(found.Status.Conditions) > 0 {
		t.Errorf("the request of a cluster that is not accepted waits, got %v", found.Status.Conditions)
	}

	acceptKey(t, "reg", "")
	certificate := fetch(t, as, request)
	if issued := must[bool](t)(accept.Issued(t.Context(), fleet.Kube, "reg", fingerprint)); !issued {
		t.Error("fleet accept --wait sees the certificate")
	}
	parsed := must[[]*x509.Certificate](t)(cert.ParseCertsPEM(certificate))[0]
	if diff := cmp.Diff(i, must[identity.Identity](t)(identity.FromCertificate(parsed))); diff != "" {
		t.Errorf("the identity survives the signer: -want +got:\n%s", diff)
	}
	if life := parsed.NotAfter.Sub(parsed.NotBefore); life > identity.MaxLifetime+10*time.Minute {
		t.Errorf("a certificate lives a day, got %s", life)
	}
	joined := agent{Identity: i, key: key, config: withCertificate(t, certificate, key)}
	eventually(t, "the agent does its work", func(ctx context.Context) (bool, error) {
		_, err := joined.works(ctx)
		return err == nil, err
	})
	clusterWith(t, "reg", "nothing is left to do", says(registration.ReasonAccepted, fingerprint))
}

func TestAutoAccept(t *testing.T) {
	joined := join(t, "auto")
	cluster := clusterWith(t, "auto", "it is accepted", exists)
	if !cluster.Spec.Accepted {
		t.Error("a token that accepts needs no administrator")
	}
	patchCluster(t, "auto", `{"spec":{"accepted":false}}`)
	joined.losesRights(t, "an administrator cuts it off")
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, withToken(t, token.Options{AutoAccept: true}), joined.Identity, joined.key))
	clusterWith(t, "auto", "and no token undoes that", says(registration.ReasonNotAccepted, "fleet accept auto"))
	found := must[*certificatesv1.CertificateSigningRequest](t)(fleet.Kube.CertificatesV1().CertificateSigningRequests().Get(t.Context(), request.Name, metav1.GetOptions{}))
	if len(found.Status.Conditions) > 0 {
		t.Errorf("the request waits, got %v", found.Status.Conditions)
	}
}

// TestClashes has clusters ask for what belongs to others.
func TestClashes(t *testing.T) {
	owner := join(t, "owner")
	must[*clusterv1alpha1.Cluster](t)(fleet.Fleet.ClusterV1alpha1().Clusters().Create(t.Context(), &clusterv1alpha1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "pushed"}, Spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push},
	}, metav1.CreateOptions{}))
	as := withToken(t, token.Options{TTL: time.Hour, AutoAccept: true})
	key, fingerprint := newKey(t)
	tests := map[string]struct {
		reason   string
		identity identity.Identity
		want     string
		says     string
	}{
		"ID":   {"one cluster has one name", identity.Identity{Cluster: "second", ID: owner.ID, Registration: fingerprint}, registration.ReasonIDClash, `"owner"`},
		"Name": {"one name is of one cluster", identity.Identity{Cluster: "owner", ID: "another", Registration: fingerprint}, registration.ReasonIdentityMismatch, owner.ID},
		"Push": {"the fleet comes to it", identity.Identity{Cluster: "pushed", ID: "third", Registration: fingerprint}, registration.ReasonMode, "Push"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, as, tc.identity, key))
			got := decision(t, request)
			if got.Type != certificatesv1.CertificateDenied || got.Reason != tc.want || !strings.Contains(got.Message, tc.says) {
				t.Errorf("%s: want it denied with %s that names %s, got %v", tc.reason, tc.want, tc.says, got)
			}
		})
	}
	t.Run("JoinTwice", func(t *testing.T) {
		_, err := fleet.Fleet.ClusterV1alpha1().Clusters().Create(t.Context(), &clusterv1alpha1.Cluster{
			ObjectMeta: metav1.ObjectMeta{Name: "twice"}, Spec: clusterv1alpha1.ClusterSpec{SyncMode: clusterv1alpha1.Push, ID: owner.ID},
		}, metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.id") || !strings.Contains(err.Error(), `"owner"`) {
			t.Errorf("joining by push is no way around: want 422 for spec.id that names the other, got %v", err)
		}
	})
}

// TestAnotherKey has an agent come back without its key, which looks like an
// attack, and shows that accepting it ends the one before.
func TestAnotherKey(t *testing.T) {
	before := join(t, "anew")
	key, fingerprint := newKey(t)
	i := identity.Identity{Cluster: "anew", ID: before.ID, Registration: fingerprint}
	as := withToken(t, token.Options{TTL: time.Hour, AutoAccept: true})
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, as, i, key))
	clusterWith(t, "anew", "the administrator is told who wants what", says(registration.ReasonAnotherKey, fingerprint, before.Registration, "fleet accept anew"))
	if _, err := before.works(t.Context()); err != nil {
		t.Errorf("the member goes on until somebody decides, got %v", err)
	}
	renewal, _ := newKey(t)
	old := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, before.config, before.Identity, renewal))
	oldRenewed := withCertificate(t, fetch(t, before.config, old), renewal)

	acceptKey(t, "anew", fingerprint)
	after := agent{Identity: i, key: key, config: withCertificate(t, fetch(t, as, request), key)}
	eventually(t, "the new agent works", func(ctx context.Context) (bool, error) {
		_, err := after.works(ctx)
		return err == nil, err
	})
	before.losesRights(t, "the old certificate is worth nothing")
	agent{Identity: before.Identity, config: oldRenewed}.losesRights(t, "nor is what descends from it")
	if _, err := ask(t, oldRenewed, before.Identity, renewal); !apierrors.IsForbidden(err) {
		t.Errorf("the old agent cannot renew either: want 403, got %v", err)
	}
}

// TestCutOff shows that trust ends at once, for requests that are under way too.
func TestCutOff(t *testing.T) {
	joined := join(t, "cutoff")
	works, err := watchWorks(t, joined)
	if err != nil {
		t.Fatal(err)
	}
	patchCluster(t, "cutoff", `{"spec":{"accepted":false}}`)
	deadline := time.After(patience)
	for open := true; open; {
		select {
		case _, open = <-works.ResultChan():
		case <-deadline:
			t.Fatal("an open watch of works ends when the member is cut off")
		}
	}
	joined.losesRights(t, "no request is allowed any more")
	patchCluster(t, "cutoff", `{"spec":{"accepted":true}}`)
	eventually(t, "accepted again it goes on with the same certificate", func(ctx context.Context) (bool, error) {
		_, err := joined.works(ctx)
		return err == nil, err
	})
}

// TestUnjoined shows that a certificate is worth nothing when the Cluster is
// gone, and stays so when the same cluster joins again.
func TestUnjoined(t *testing.T) {
	t.Parallel()
	first := join(t, "leaver")
	own := must[watch.Interface](t)(fleetclient.NewForConfigOrDie(first.config).ClusterV1alpha1().Clusters().
		Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=leaver"}))
	defer own.Stop()
	if err := fleet.Fleet.ClusterV1alpha1().Clusters().Delete(t.Context(), "leaver", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Cluster goes", func(ctx context.Context) (bool, error) {
		_, err := fleet.Fleet.ClusterV1alpha1().Clusters().Get(ctx, "leaver", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	first.losesRights(t, "its certificate is worth nothing")
	deadline, deleted := time.After(patience), false
	for open := true; open; {
		select {
		case event, more := <-own.ResultChan():
			deleted, open = deleted || event.Type == watch.Deleted, more
		case <-deadline:
			t.Fatal("an open watch ends after the Cluster is gone")
		}
	}
	if !deleted {
		t.Error("but first it tells the agent that it is out of the fleet")
	}
	if _, err := ask(t, first.config, first.Identity, first.key); !apierrors.IsForbidden(err) {
		t.Errorf("nor can it be renewed: want 403, got %v", err)
	}
	second := join(t, "leaver")
	if second.ID != first.ID {
		t.Fatalf("the test is about the same cluster, got ids %q and %q", first.ID, second.ID)
	}
	first.losesRights(t, "joining again does not bring the old certificate back")
}

func TestRenewal(t *testing.T) {
	joined := join(t, "renewer")
	key, _ := newKey(t)
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, joined.config, joined.Identity, key))
	renewed := agent{Identity: joined.Identity, key: key, config: withCertificate(t, fetch(t, joined.config, request), key)}
	for name, a := range map[string]agent{"new": renewed, "old": joined} {
		if _, err := a.works(t.Context()); err != nil {
			t.Errorf("during a rotation both certificates are good, the %s one is not: %v", name, err)
		}
	}
	again, _ := newKey(t)
	fetch(t, renewed.config, must[*certificatesv1.CertificateSigningRequest](t)(ask(t, renewed.config, renewed.Identity, again)))
}

// TestExpired has an agent come back after its certificate ran out.
func TestExpired(t *testing.T) {
	joined := join(t, "sleeper")
	expired := agent{Identity: joined.Identity, config: withCertificate(t, issue(t, joined.Identity, joined.key, time.Now().Add(-100*time.Hour)), joined.key)}
	expired.losesRights(t, "an expired certificate reads no works")
	key, _ := newKey(t)
	request := must[*certificatesv1.CertificateSigningRequest](t)(ask(t, expired.config, expired.Identity, key))
	renewed := agent{Identity: joined.Identity, config: withCertificate(t, fetch(t, expired.config, request), key)}
	if _, err := renewed.works(t.Context()); err != nil {
		t.Errorf("the next one does: %v", err)
	}
	other := expired.Identity
	other.Cluster = "renewer"
	if _, err := ask(t, expired.config, other, key); !apierrors.IsForbidden(err) {
		t.Errorf("it asks for itself only: want 403, got %v", err)
	}

	ancient := withCertificate(t, issue(t, joined.Identity, joined.key, time.Now().Add(-1000*time.Hour)), joined.key)
	if _, err := ask(t, ancient, joined.Identity, key); !apierrors.IsUnauthorized(err) {
		t.Errorf("after the grace it has to register again: want 401, got %v", err)
	}
	patchCluster(t, "sleeper", `{"spec":{"accepted":false}}`)
	eventually(t, "who is cut off does not come back by an old certificate", func(context.Context) (bool, error) {
		_, err := ask(t, expired.config, expired.Identity, key)
		return apierrors.IsForbidden(err), nil
	})
}

// TestDiscovery shows what a cluster finds that has nothing but a token.
func TestDiscovery(t *testing.T) {
	endpoint := must[token.Endpoint](t)(token.Discover(t.Context(), fleet.Kube, "", fleet.Config.Host))
	if len(endpoint.Pins) != 1 || !strings.HasPrefix(endpoint.Server, "https://") {
		t.Errorf("the command to join has an address and a pin, got %+v", endpoint)
	}
	made, err := token.Create(t.Context(), fleet.Kube, token.Options{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	code, body := do(t, bare(), get("discovery", "/api/v1/namespaces/kube-public/configmaps/cluster-info"))
	if code != 200 || !strings.Contains(body, "kubeconfig") {
		t.Errorf("everybody reads cluster-info, got %d %s", code, body)
	}
	signed := func(ctx context.Context) (*corev1.ConfigMap, string, error) {
		found, err := fleet.Kube.CoreV1().ConfigMaps("kube-public").Get(ctx, "cluster-info", metav1.GetOptions{})
		if err != nil {
			return nil, "", err
		}
		return found, found.Data["jws-kubeconfig-"+made.Token.ID], nil
	}
	eventually(t, "the signer signs it with every token", func(ctx context.Context) (bool, error) {
		_, signature, err := signed(ctx)
		return signature != "", err
	})
	if _, err := token.Delete(t.Context(), fleet.Kube, made.Token.String()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "and takes the signature of one that is gone away", func(ctx context.Context) (bool, error) {
		_, signature, err := signed(ctx)
		return signature == "", err
	})
	for _, path := range []string{"/api/v1/namespaces/kube-public/configmaps", "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication", "/api/v1/namespaces/kube-public/secrets"} {
		if code, _ := do(t, bare(), get("anything else", path)); code != 403 {
			t.Errorf("and nothing else: %s: want 403, got %d", path, code)
		}
	}
}
