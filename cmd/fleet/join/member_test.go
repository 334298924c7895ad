// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

const fleetID = types.UID("fleet-1")

// newTestMember returns a member whose API server is a fake, which fills tokens
// like a controller manager does unless it is told to be without one.
func newTestMember(t *testing.T, withController bool, objects ...runtime.Object) (*Member, *kubefake.Clientset) {
	t.Helper()
	client := kubefake.NewClientset(objects...)
	if withController {
		client.PrependReactor("get", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
			get := action.(clienttesting.GetAction)
			object, err := client.Tracker().Get(action.GetResource(), get.GetNamespace(), get.GetName())
			if err != nil {
				return true, nil, err
			}
			secret := object.(*corev1.Secret).DeepCopy()
			secret.Data = map[string][]byte{"token": []byte("t0ken"), "ca.crt": []byte("not this one")}
			return true, secret, nil
		})
	}
	return &Member{config: &rest.Config{Host: "https://member:6443", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("ca")}}, client: client}, client
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func TestGrant(t *testing.T) {
	ours := map[string]string{wellknown.LabelManagedBy: string(fleetID)}
	for name, tc := range map[string]struct {
		reason  string
		objects []runtime.Object
		proxy   string
		times   int
		// ownsNamespace is whether the namespace goes when the member leaves.
		ownsNamespace bool
		want          *Credentials
	}{
		"First": {
			reason:        "A cluster that never joined gets an account, and a namespace for it.",
			times:         1,
			ownsNamespace: true,
			want:          &Credentials{Token: []byte("t0ken"), CABundle: []byte("ca")},
		},
		"Again": {
			reason:        "Joining again changes nothing.",
			times:         2,
			ownsNamespace: true,
			want:          &Credentials{Token: []byte("t0ken"), CABundle: []byte("ca")},
		},
		"NamespaceOfOthers": {
			reason:  "A namespace that was there before is shared and stays.",
			objects: []runtime.Object{namespace("fleet-system", nil)},
			times:   1,
			want:    &Credentials{Token: []byte("t0ken"), CABundle: []byte("ca")},
		},
		"NamespaceOfOurs": {
			reason:        "A namespace that an earlier join made goes with the account.",
			objects:       []runtime.Object{namespace("fleet-system", ours)},
			times:         1,
			ownsNamespace: true,
			want:          &Credentials{Token: []byte("t0ken"), CABundle: []byte("ca")},
		},
		"Proxy": {
			reason:        "The fleet takes the way to the member that the kubeconfig takes.",
			proxy:         "http://proxy:3128",
			times:         1,
			ownsNamespace: true,
			want:          &Credentials{Token: []byte("t0ken"), CABundle: []byte("ca"), ProxyURL: "http://proxy:3128"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			member, client := newTestMember(t, true, tc.objects...)
			if tc.proxy != "" {
				proxy, err := url.Parse(tc.proxy)
				if err != nil {
					t.Fatal(err)
				}
				member.config.Proxy = http.ProxyURL(proxy)
			}
			var got *Credentials
			for range tc.times {
				var err error
				if got, err = member.Grant(t.Context(), fleetID); err != nil {
					t.Fatalf("\n%s\nGrant(...): %v", tc.reason, err)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nGrant(...): -want, +got:\n%s", tc.reason, diff)
			}

			role, err := client.RbacV1().ClusterRoles().Get(t.Context(), AccountName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			root := metav1.OwnerReference{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: AccountName, UID: role.UID}
			owned := map[string]bool{}
			for what, object := range granted(t, client) {
				owners := object.GetOwnerReferences()
				owned[what] = len(owners) == 1 && cmp.Equal(owners[0], root)
			}
			want := map[string]bool{"namespace": tc.ownsNamespace, "account": true, "token": true, "binding": true}
			if diff := cmp.Diff(want, owned); diff != "" {
				t.Errorf("\n%s\nowned by the ClusterRole: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// granted returns what goes with the account.
func granted(t *testing.T, client *kubefake.Clientset) map[string]metav1.Object {
	t.Helper()
	ctx := t.Context()
	must := func(object metav1.Object, err error) metav1.Object {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
	return map[string]metav1.Object{
		"namespace": must(client.CoreV1().Namespaces().Get(ctx, "fleet-system", metav1.GetOptions{})),
		"account":   must(client.CoreV1().ServiceAccounts("fleet-system").Get(ctx, "fleet-syncer", metav1.GetOptions{})),
		"token":     must(client.CoreV1().Secrets("fleet-system").Get(ctx, "fleet-syncer-token", metav1.GetOptions{})),
		"binding":   must(client.RbacV1().ClusterRoleBindings().Get(ctx, "fleet-syncer", metav1.GetOptions{})),
	}
}

func TestOneFleetPerMember(t *testing.T) {
	member, client := newTestMember(t, true)
	if _, err := member.Grant(t.Context(), "fleet-2"); err != nil {
		t.Fatal(err)
	}
	client.ClearActions()
	if _, err := member.Grant(t.Context(), fleetID); !errors.Is(err, ErrOtherFleet) {
		t.Errorf("\nA member of one fleet cannot join another.\nGrant(...): want %v, got %v", ErrOtherFleet, err)
	}
	if err := member.Revoke(t.Context(), fleetID); !errors.Is(err, ErrOtherFleet) {
		t.Errorf("\nA fleet does not take another's account away.\nRevoke(...): want %v, got %v", ErrOtherFleet, err)
	}
	for _, action := range client.Actions() {
		if verb := action.GetVerb(); verb != "get" {
			t.Errorf("\nWhat is refused changes nothing.\naction: %s %s", verb, action.GetResource().Resource)
		}
	}
}

func TestRevoke(t *testing.T) {
	member, client := newTestMember(t, true)
	if err := member.Revoke(t.Context(), fleetID); err != nil {
		t.Errorf("\nWithout an account there is nothing to do.\nRevoke(...): %v", err)
	}
	if _, err := member.Grant(t.Context(), fleetID); err != nil {
		t.Fatal(err)
	}
	if err := member.Revoke(t.Context(), fleetID); err != nil {
		t.Errorf("\nThe account goes.\nRevoke(...): %v", err)
	}
	if _, err := client.RbacV1().ClusterRoles().Get(t.Context(), AccountName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("\nThe ClusterRole, which owns everything, is deleted.\nGet(...): want not found, got %v", err)
	}
}

func TestGrantWithoutTokenController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member, _ := newTestMember(t, false)
		_, err := member.Grant(t.Context(), fleetID)
		want := "wait 30s for a token in Secret fleet-system/fleet-syncer-token of the member: does its controller manager run?"
		if err == nil || err.Error() != want {
			t.Errorf("\nA member that makes no token does not hold up the command.\nGrant(...): want %q, got %v", want, err)
		}
	})
}

func TestInspectRefusesServerName(t *testing.T) {
	member, _ := newTestMember(t, true, namespace("kube-system", nil))
	member.config.ServerName = "kubernetes"
	if _, err := member.Inspect(context.Background()); err == nil {
		t.Error("\nA Cluster cannot say under which name to verify a certificate.\nInspect(...): want an error")
	}
}
