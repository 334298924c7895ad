// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	fleetfake "fleet.dev/fleet/pkg/generated/clientset/versioned/fake"
)

func newTestFleet(clusters ...runtime.Object) *Fleet {
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: fleetID}}
	return NewFleet(kubefake.NewClientset(system), fleetfake.NewClientset(clusters...))
}

func cluster(name, id string, mutate ...func(*clusterv1alpha1.Cluster)) *clusterv1alpha1.Cluster {
	c := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-1"}, Spec: clusterv1alpha1.ClusterSpec{ID: id}}
	for _, m := range mutate {
		m(c)
	}
	return c
}

func deleted(c *clusterv1alpha1.Cluster) {
	now := metav1.Now()
	c.DeletionTimestamp = &now
	c.Finalizers = []string{wellknown.FinalizerUnjoin}
}

func pull(c *clusterv1alpha1.Cluster) { c.Spec.SyncMode = clusterv1alpha1.Pull }

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		clusters []runtime.Object
		id       types.UID
		want     error
	}{
		"First":       {reason: "An empty fleet takes any cluster.", id: "m1"},
		"Second":      {reason: "Other members do not matter.", clusters: []runtime.Object{cluster("berlin", "m2")}, id: "m1"},
		"Again":       {reason: "A member may join again under its name.", clusters: []runtime.Object{cluster("paris", "m1")}, id: "m1"},
		"MadeByHand":  {reason: "A Cluster made without an id is completed.", clusters: []runtime.Object{cluster("paris", "")}, id: "m1"},
		"OtherName":   {reason: "A member has one name.", clusters: []runtime.Object{cluster("berlin", "m1")}, id: "m1", want: ErrJoined},
		"NameTaken":   {reason: "A name is one member's.", clusters: []runtime.Object{cluster("paris", "m2")}, id: "m1", want: ErrNameTaken},
		"Leaving":     {reason: "A member that is leaving has to be gone first.", clusters: []runtime.Object{cluster("paris", "m1", deleted)}, id: "m1", want: ErrLeaving},
		"Pull":        {reason: "A member whose agent connects is not connected to as well.", clusters: []runtime.Object{cluster("paris", "m1", pull)}, id: "m1", want: ErrPull},
		"FleetItself": {reason: "A fleet is no member of itself.", id: fleetID, want: ErrItself},
	} {
		t.Run(name, func(t *testing.T) {
			err := newTestFleet(tc.clusters...).Check(t.Context(), "paris", &Identity{ID: tc.id, Endpoint: "https://member:6443"})
			if !errors.Is(err, tc.want) {
				t.Errorf("\n%s\nCheck(...): want %v, got %v", tc.reason, tc.want, err)
			}
		})
	}
}

// memberServer is a member's API server that knows one token and who it is.
func memberServer(t *testing.T, id types.UID) (*Identity, *Credentials) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Header.Get("Authorization") != "Bearer t0ken" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var answer any = &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: id},
		}
		if r.URL.Path == "/version" {
			answer = version.Info{GitVersion: "v1.36.3"}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &Identity{ID: id, Endpoint: server.URL}, &Credentials{Token: []byte("t0ken"), ImpersonatorToken: []byte("imp0ster"), CABundle: ca}
}

func TestInspect(t *testing.T) {
	want, credentials := memberServer(t, "m1")
	want.Version = "v1.36.3"
	config := &rest.Config{Host: want.Endpoint, BearerToken: "t0ken", TLSClientConfig: rest.TLSClientConfig{CAData: credentials.CABundle}}
	member, err := NewMember(config)
	if err != nil {
		t.Fatal(err)
	}
	got, err := member.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("\nA member says who it is, what it runs and where.\nInspect(...): -want, +got:\n%s", diff)
	}

	config.BearerToken = "wrong"
	if member, err = NewMember(config); err != nil {
		t.Fatal(err)
	}
	if _, err := member.Inspect(t.Context()); !apierrors.IsUnauthorized(err) {
		t.Errorf("\nCredentials that the member refuses are found out first.\nInspect(...): want unauthorized, got %v", err)
	}
}

func TestRegister(t *testing.T) {
	identity, credentials := memberServer(t, "m1")
	users := func(c *clusterv1alpha1.Cluster) {
		c.Labels = map[string]string{"env": "prod"}
		c.Spec.Region, c.Spec.Zones = "eu", []string{"eu-1"}
		c.Spec.Taints = []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}}
		c.Spec.APIEndpoint = "https://old"
	}
	for name, tc := range map[string]struct {
		reason   string
		clusters []runtime.Object
		facts    Facts
		want     clusterv1alpha1.ClusterSpec
	}{
		"First": {
			reason: "A member is reached at its address, with the Secret in its namespace.",
			facts:  Facts{Provider: "acme", Region: "eu", Zones: []string{"eu-1", "eu-2"}},
			want:   clusterv1alpha1.ClusterSpec{Provider: "acme", Region: "eu", Zones: []string{"eu-1", "eu-2"}},
		},
		"Again": {
			reason:   "Joining again renews the address and leaves alone what users wrote.",
			clusters: []runtime.Object{cluster("paris", "m1", users)},
			want: clusterv1alpha1.ClusterSpec{
				Region: "eu", Zones: []string{"eu-1"},
				Taints: []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}},
			},
		},
		"AgainWithFacts": {
			reason:   "What is said now replaces what was said before.",
			clusters: []runtime.Object{cluster("paris", "m1", users)},
			facts:    Facts{Region: "us", Zones: []string{"us-1"}},
			want: clusterv1alpha1.ClusterSpec{
				Region: "us", Zones: []string{"us-1"},
				Taints: []corev1.Taint{{Key: "dedicated", Effect: corev1.TaintEffectNoSchedule}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			fleet := newTestFleet(tc.clusters...)
			got, err := fleet.Register(t.Context(), "paris", identity, credentials, tc.facts)
			if err != nil {
				t.Fatalf("\n%s\nRegister(...): %v", tc.reason, err)
			}
			tc.want.ID, tc.want.SyncMode, tc.want.APIEndpoint = "m1", clusterv1alpha1.Push, identity.Endpoint
			tc.want.SecretRef = &clusterv1alpha1.LocalSecretReference{Namespace: "fleet-cluster-paris", Name: "paris"}
			tc.want.ImpersonatorSecretRef = &clusterv1alpha1.LocalSecretReference{Namespace: "fleet-cluster-paris", Name: "paris-impersonator"}
			if diff := cmp.Diff(tc.want, got.Spec); diff != "" {
				t.Errorf("\n%s\nRegister(...): -want, +got:\n%s", tc.reason, diff)
			}

			for name, token := range map[string]string{"paris": "t0ken", "paris-impersonator": "imp0ster"} {
				secret, err := fleet.kube.CoreV1().Secrets("fleet-cluster-paris").Get(t.Context(), name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := time.Parse(time.RFC3339, secret.Annotations[wellknown.AnnotationTokenRotated]); err != nil {
					t.Errorf("\n%s\nThe age of a token counts from here: %v", tc.reason, err)
				}
				wantSecret := &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "fleet-cluster-paris", Labels: managedBy(fleetID)},
					Type:       corev1.SecretTypeOpaque,
					Data:       map[string][]byte{"token": []byte(token), "caBundle": credentials.CABundle},
				}
				if diff := cmp.Diff(wantSecret, secret, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ManagedFields", "ResourceVersion", "Annotations"), cmpopts.IgnoreTypes(metav1.TypeMeta{})); diff != "" {
					t.Errorf("\n%s\nSecret: -want, +got:\n%s", tc.reason, diff)
				}
			}
			if _, err := fleet.kube.RbacV1().RoleBindings("fleet-cluster-paris").Get(t.Context(), wellknown.RoleCredentials, metav1.GetOptions{}); err != nil {
				t.Errorf("\n%s\nThe syncer may read them from the first moment: %v", tc.reason, err)
			}
		})
	}
}

func TestRegisterTriesCredentials(t *testing.T) {
	identity, credentials := memberServer(t, "m1")
	for name, tc := range map[string]struct {
		reason      string
		identity    *Identity
		credentials *Credentials
	}{
		"BadToken": {
			reason:      "A token that the member refuses is not stored.",
			identity:    identity,
			credentials: &Credentials{Token: []byte("wrong"), CABundle: credentials.CABundle},
		},
		"BadCA": {
			reason:      "A certificate that cannot be verified is found out at once.",
			identity:    identity,
			credentials: &Credentials{Token: credentials.Token},
		},
		"OtherCluster": {
			reason:      "An address at which another cluster answers is not stored.",
			identity:    &Identity{ID: "m2", Endpoint: identity.Endpoint},
			credentials: credentials,
		},
	} {
		t.Run(name, func(t *testing.T) {
			kube := kubefake.NewClientset()
			fleet := NewFleet(kube, fleetfake.NewClientset())
			if _, err := fleet.Register(t.Context(), "paris", tc.identity, tc.credentials, Facts{}); err == nil {
				t.Errorf("\n%s\nRegister(...): want an error", tc.reason)
			}
			if actions := kube.Actions(); len(actions) > 0 {
				t.Errorf("\n%s\nactions: %v", tc.reason, actions)
			}
		})
	}
}

func TestAwaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := newTestFleet(cluster("paris", "m1"))
		go func() {
			for _, step := range []metav1.Condition{
				{Type: "Ready", Status: metav1.ConditionFalse, Reason: "ClusterNotReady", Message: "etcd is down"},
				{Type: "Ready", Status: metav1.ConditionTrue, Reason: "ClusterReady", Message: "the API server is ready"},
			} {
				time.Sleep(10 * time.Second)
				current, err := fleet.Cluster(t.Context(), "paris")
				if err != nil {
					t.Error(err)
					return
				}
				meta.SetStatusCondition(&current.Status.Conditions, step)
				if _, err := fleet.fleet.ClusterV1alpha1().Clusters().UpdateStatus(t.Context(), current, metav1.UpdateOptions{}); err != nil {
					t.Error(err)
				}
			}
		}()
		var progress []string
		err := fleet.AwaitReady(t.Context(), "paris", func(message string) { progress = append(progress, message) })
		if err != nil {
			t.Errorf("\nA member that becomes ready ends the wait.\nAwaitReady(...): %v", err)
		}
		want := []string{"no syncer has reported on it yet", "ClusterNotReady: etcd is down", "ClusterReady: the API server is ready"}
		if diff := cmp.Diff(want, progress); diff != "" {
			t.Errorf("\nWhat is waited for is said once.\nprogress: -want, +got:\n%s", diff)
		}
	})
}

func TestAwaitReadyGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := newTestFleet(cluster("paris", "m1")).AwaitReady(ctx, "paris", func(string) {})
		want := `wait for Cluster "paris" to be ready: context deadline exceeded (last seen: no syncer has reported on it yet)`
		if err == nil || err.Error() != want {
			t.Errorf("\nThe error says what was missing.\nAwaitReady(...): want %q, got %v", want, err)
		}
	})
}
