// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package join

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

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
			account := secret.Annotations[corev1.ServiceAccountNameKey]
			secret.Data = map[string][]byte{"token": []byte("t0ken of " + account), "ca.crt": []byte("not this one")}
			return true, secret, nil
		})
	}
	return &Member{config: &rest.Config{Host: "https://member:6443", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("ca")}}, client: client, clock: clock.RealClock{}}, client
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func TestGrant(t *testing.T) {
	ours := map[string]string{wellknown.LabelManagedBy: string(fleetID)}
	credentials := func(proxy string) *Credentials {
		return &Credentials{
			Token: []byte("t0ken of fleet-syncer"), ImpersonatorToken: []byte("t0ken of fleet-impersonator"),
			CABundle: []byte("ca"), ProxyURL: proxy,
		}
	}
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
			want:          credentials(""),
		},
		"Again": {
			reason:        "Joining again makes new tokens and leaves the old ones, which may be in use, to the syncer.",
			times:         2,
			ownsNamespace: true,
			want:          credentials(""),
		},
		"NamespaceOfOthers": {
			reason:  "A namespace that was there before is shared and stays.",
			objects: []runtime.Object{namespace("fleet-system", nil)},
			times:   1,
			want:    credentials(""),
		},
		"NamespaceOfOurs": {
			reason:        "A namespace that an earlier join made goes with the account.",
			objects:       []runtime.Object{namespace("fleet-system", ours)},
			times:         1,
			ownsNamespace: true,
			want:          credentials(""),
		},
		"Proxy": {
			reason:        "The fleet takes the way to the member that the kubeconfig takes.",
			proxy:         "http://proxy:3128",
			times:         1,
			ownsNamespace: true,
			want:          credentials("http://proxy:3128"),
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
				if got, err = member.Grant(t.Context(), fleetID, ""); err != nil {
					t.Fatalf("\n%s\nGrant(...): %v", tc.reason, err)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("\n%s\nGrant(...): -want, +got:\n%s", tc.reason, diff)
			}

			role, err := client.RbacV1().ClusterRoles().Get(t.Context(), wellknown.SyncerName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			root := metav1.OwnerReference{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: wellknown.SyncerName, UID: role.UID}
			owned := map[string]int{}
			for what, objects := range granted(t, client) {
				for _, object := range objects {
					owners := object.GetOwnerReferences()
					if len(owners) == 1 && cmp.Equal(owners[0], root) {
						owned[what]++
					}
				}
			}
			want := map[string]int{
				"accounts": 2, "tokens": 2 * tc.times, "cluster role bindings": 3, "cluster roles": 2, "roles": 1, "role bindings": 1,
			}
			if tc.ownsNamespace {
				want["namespaces"] = 1
			}
			if diff := cmp.Diff(want, owned); diff != "" {
				t.Errorf("\n%s\nowned by the ClusterRole: -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// granted returns what goes with the accounts.
func granted(t *testing.T, client *kubefake.Clientset) map[string][]metav1.Object {
	t.Helper()
	ctx, all := t.Context(), metav1.ListOptions{}
	found := map[string][]metav1.Object{}
	list := func(what string, objects runtime.Object, err error) {
		t.Helper()
		if err == nil {
			err = meta.EachListItem(objects, func(object runtime.Object) error {
				found[what] = append(found[what], object.(metav1.Object))
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	namespaces, err := client.CoreV1().Namespaces().List(ctx, all)
	list("namespaces", namespaces, err)
	accounts, err := client.CoreV1().ServiceAccounts("fleet-system").List(ctx, all)
	list("accounts", accounts, err)
	tokens, err := client.CoreV1().Secrets("fleet-system").List(ctx, all)
	list("tokens", tokens, err)
	bindings, err := client.RbacV1().ClusterRoleBindings().List(ctx, all)
	list("cluster role bindings", bindings, err)
	clusterRoles, err := client.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{})
	list("cluster roles", clusterRoles, err)
	roles, err := client.RbacV1().Roles("fleet-system").List(ctx, all)
	list("roles", roles, err)
	roleBindings, err := client.RbacV1().RoleBindings("fleet-system").List(ctx, all)
	list("role bindings", roleBindings, err)
	return found
}

// TestRights says what the fleet's accounts may do in a member: this is the
// profile that the documentation promises.
func TestRights(t *testing.T) {
	everything := []rbacv1.PolicyRule{
		{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch", "create", "update", "patch", "delete"}},
		{APIGroups: []string{"rbac.authorization.k8s.io"}, Resources: []string{"roles", "clusterroles"}, Verbs: []string{"escalate", "bind"}},
		{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}},
	}
	edit := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "edit"}}
	view := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "view"}}
	for name, tc := range map[string]struct {
		reason string
		// joins are the roles of joins one after the other.
		joins   []string
		rules   []rbacv1.PolicyRule
		managed string
	}{
		"Default":  {reason: "Users of a fleet store any kind.", joins: []string{""}, rules: everything},
		"Narrow":   {reason: "A role of the member says what the fleet may manage.", joins: []string{"edit"}, rules: NarrowRules(), managed: "edit"},
		"Kept":     {reason: "To renew a member does not widen what the fleet may do there.", joins: []string{"edit", ""}, rules: NarrowRules(), managed: "edit"},
		"Replaced": {reason: "Another role replaces the one before.", joins: []string{"edit", "view"}, rules: NarrowRules(), managed: "view"},
		"Widened":  {reason: "Who wants it says so.", joins: []string{"edit", "fleet-syncer"}, rules: everything},
	} {
		t.Run(name, func(t *testing.T) {
			member, client := newTestMember(t, true, edit.DeepCopy(), view.DeepCopy())
			for _, role := range tc.joins {
				if _, err := member.Grant(t.Context(), fleetID, role); err != nil {
					t.Fatalf("\n%s\nGrant(..., %q): %v", tc.reason, role, err)
				}
			}
			for role, rules := range map[string][]rbacv1.PolicyRule{wellknown.SyncerName: tc.rules, wellknown.ImpersonatorName: ImpersonatorRules()} {
				got, err := client.RbacV1().ClusterRoles().Get(t.Context(), role, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(rules, got.Rules); diff != "" {
					t.Errorf("\n%s\nrules of %s: -want, +got:\n%s", tc.reason, role, diff)
				}
				for _, rule := range got.Rules {
					if role == wellknown.SyncerName && (slices.Contains(rule.Verbs, "impersonate") || slices.Contains(rule.Verbs, "*")) {
						t.Errorf("\n%s\nThe syncer can act as others: %v", tc.reason, rule)
					}
				}
			}
			managed := ""
			if bound, err := client.RbacV1().ClusterRoleBindings().Get(t.Context(), "fleet-syncer-managed", metav1.GetOptions{}); err == nil {
				managed = bound.RoleRef.Name + " to " + bound.Subjects[0].Name
			}
			if tc.managed != "" {
				tc.managed += " to fleet-syncer"
			}
			if managed != tc.managed {
				t.Errorf("\n%s\nbound: want %q, got %q", tc.reason, tc.managed, managed)
			}
			_, err := client.RbacV1().ClusterRoleBindings().Get(t.Context(), wellknown.ProjectionsName, metav1.GetOptions{})
			if shows := err == nil; shows != (tc.managed == "") {
				t.Errorf("\n%s\nthe fleet may show what runs there: got %v (%v), want it unless narrowed", tc.reason, shows, err)
			}
		})
	}
	t.Run("Unknown", func(t *testing.T) {
		member, client := newTestMember(t, true)
		if _, err := member.Grant(t.Context(), fleetID, "nope"); !apierrors.IsNotFound(err) {
			t.Errorf("\nA role that does not exist is found out first.\nGrant(...): want not found, got %v", err)
		}
		for _, action := range client.Actions() {
			if action.GetVerb() != "get" {
				t.Errorf("\nWhat is refused changes nothing.\naction: %s %s", action.GetVerb(), action.GetResource().Resource)
			}
		}
	})
}

func TestOneFleetPerMember(t *testing.T) {
	member, client := newTestMember(t, true)
	if _, err := member.Grant(t.Context(), "fleet-2", ""); err != nil {
		t.Fatal(err)
	}
	client.ClearActions()
	if _, err := member.Grant(t.Context(), fleetID, ""); !errors.Is(err, ErrOtherFleet) {
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
	if _, err := member.Grant(t.Context(), fleetID, ""); err != nil {
		t.Fatal(err)
	}
	if err := member.Revoke(t.Context(), fleetID); err != nil {
		t.Errorf("\nThe account goes.\nRevoke(...): %v", err)
	}
	if _, err := client.RbacV1().ClusterRoles().Get(t.Context(), wellknown.SyncerName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("\nThe ClusterRole, which owns everything, is deleted.\nGet(...): want not found, got %v", err)
	}
}

func TestGrantWithoutTokenController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member, _ := newTestMember(t, false)
		_, err := member.Grant(t.Context(), fleetID, "")
		want := regexp.MustCompile(`^wait 30s for a token in Secret fleet-system/fleet-syncer-token-\w{5} of the member: does its controller manager run\?$`)
		if err == nil || !want.MatchString(err.Error()) {
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
