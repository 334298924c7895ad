// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package syncer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member"
)

// vault is a fleet and a member that hold the tokens of one account.
type vault struct {
	*testing.T
	fleet, member *kubefake.Clientset
	credentials   *credentials
	made, renewed int
	// fail answers a request to either side, by "fleet" or "member", verb.
	fail map[string]error
}

var tokenOwner = metav1.OwnerReference{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: wellknown.SyncerName, UID: "role"}

// newVault returns one whose member joined now. It is made in a bubble of fake
// time.
func newVault(t *testing.T, period, overlap time.Duration) *vault {
	t.Helper()
	v := &vault{T: t, fleet: kubefake.NewClientset(), member: kubefake.NewClientset(), fail: map[string]error{}}
	v.guard("fleet", v.fleet)
	v.guard("member", v.member)
	ref := &clusterv1alpha1.LocalSecretReference{Namespace: "fleet-cluster-one", Name: "one"}
	cluster := &clusterv1alpha1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: clusterv1alpha1.ClusterSpec{SecretRef: ref}}
	v.credentials = &credentials{
		cluster: "one", fleetID: testFleet, rotation: Rotation{Period: period, Overlap: overlap}, clock: clock.RealClock{},
		get:           func() (*clusterv1alpha1.Cluster, error) { return cluster, nil },
		fleetSecrets:  v.fleet.CoreV1(),
		memberSecrets: v.member.CoreV1().Secrets(wellknown.NamespaceSystem),
		usable:        func() bool { return true },
		try: func(_ context.Context, _ *clusterv1alpha1.Cluster, secret *corev1.Secret, _ string) error {
			if !v.valid(secret) {
				return errors.New("the member does not know the token")
			}
			return v.fail["try"]
		},
		renewed: func() { v.renewed++ },
	}
	first, err := v.credentials.memberSecrets.Create(t.Context(), member.TokenSecret(wellknown.SyncerName, testFleet, tokenOwner), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v.store(map[string][]byte{wellknown.SecretKeyToken: first.Data[corev1.ServiceAccountTokenKey], wellknown.SecretKeyCABundle: []byte("ca")}, time.Now())
	return v
}

// guard has a side fail as it is told, and the member make tokens and note times.
func (v *vault) guard(side string, client *kubefake.Clientset) {
	client.PrependReactor("*", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if err := v.fail[side+" "+action.GetVerb()]; err != nil {
			return true, nil, err
		}
		if create, ok := action.(clienttesting.CreateAction); ok && side == "member" && action.GetVerb() == "create" {
			secret := create.GetObject().(*corev1.Secret)
			v.made++
			secret.UID, secret.CreationTimestamp = types.UID(fmt.Sprint(v.made)), metav1.Now().Rfc3339Copy()
			secret.Data = map[string][]byte{corev1.ServiceAccountTokenKey: fmt.Appendf(nil, "token-%d", v.made)}
		}
		return false, nil, nil
	})
}

// store writes the fleet's Secret as join does.
func (v *vault) store(data map[string][]byte, at time.Time) {
	v.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "fleet-cluster-one", Name: "one", Annotations: map[string]string{wellknown.AnnotationTokenRotated: at.UTC().Format(time.RFC3339)},
	}, Data: data}
	if err := v.fleet.Tracker().Add(secret); err != nil {
		v.Fatal(err)
	}
}

func (v *vault) stored() *corev1.Secret {
	v.Helper()
	object, err := v.fleet.Tracker().Get(corev1.SchemeGroupVersion.WithResource("secrets"), "fleet-cluster-one", "one")
	if err != nil {
		v.Fatal(err)
	}
	return object.(*corev1.Secret)
}

// tokens are those the member takes.
func (v *vault) tokens() []string {
	v.Helper()
	object, err := v.member.Tracker().List(corev1.SchemeGroupVersion.WithResource("secrets"), corev1.SchemeGroupVersion.WithKind("Secret"), wellknown.NamespaceSystem)
	if err != nil {
		v.Fatal(err)
	}
	var tokens []string
	for _, secret := range object.(*corev1.SecretList).Items {
		tokens = append(tokens, string(secret.Data[corev1.ServiceAccountTokenKey]))
	}
	return tokens
}

func (v *vault) valid(secret *corev1.Secret) bool {
	v.Helper()
	return slices.Contains(v.tokens(), string(secret.Data[wellknown.SecretKeyToken]))
}

// want checks the token in use, and how many the member takes.
func (v *vault) want(reason, token string, tokens int) {
	v.Helper()
	if got := string(v.stored().Data[wellknown.SecretKeyToken]); got != token {
		v.Errorf("%s: the fleet uses %s, want %s", reason, got, token)
	}
	if got := v.tokens(); len(got) != tokens {
		v.Errorf("%s: the member takes %v, want %d", reason, got, tokens)
	}
	if !v.valid(v.stored()) {
		v.Errorf("%s: the member does not take the fleet's token", reason)
	}
}

func (v *vault) rotate() (time.Duration, error) {
	return v.credentials.rotate(v.Context())
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, 24*time.Hour, 15*time.Minute)
		step := func(after time.Duration, reason, token string, tokens int, due time.Duration) {
			t.Helper()
			time.Sleep(after)
			got, err := v.rotate()
			if err != nil {
				t.Fatalf("%s: %v", reason, err)
			}
			v.want(reason, token, tokens)
			if got != due {
				t.Errorf("%s: due in %s, want %s", reason, got, due)
			}
		}
		step(0, "a young token stays", "token-1", 1, 15*time.Minute)
		step(23*time.Hour+30*time.Minute, "until it is a day old", "token-1", 1, 30*time.Minute)
		step(30*time.Minute, "then there is another, and both work", "token-2", 2, 15*time.Minute)
		if v.renewed != 1 {
			t.Errorf("the session was told %d times of a new token, want once", v.renewed)
		}
		step(10*time.Minute, "somebody may still use the old one", "token-2", 2, 5*time.Minute)
		step(5*time.Minute, "nobody does any more", "token-2", 1, time.Hour)
		step(23*time.Hour+45*time.Minute, "and so on", "token-3", 2, 15*time.Minute)
		if diff := cmp.Diff("ca", string(v.stored().Data[wellknown.SecretKeyCABundle])); diff != "" {
			t.Errorf("the rest of the credentials stays: -want +got:\n%s", diff)
		}
		secrets, err := v.credentials.memberSecrets.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range secrets.Items {
			if diff := cmp.Diff([]metav1.OwnerReference{tokenOwner}, secret.OwnerReferences); diff != "" {
				t.Errorf("tokens go with the fleet's ClusterRole: -want +got:\n%s", diff)
			}
		}
	})
}

// TestRotationIsCrashSafe ends a rotation at each of its requests and starts it
// again: at every moment the member takes the token that the fleet uses, and in
// the end it takes no other.
func TestRotationIsCrashSafe(t *testing.T) {
	broken := errors.New("the process ended here")
	for name, tc := range map[string]struct {
		reason string
		at     string
		err    error
		// left are the tokens that are left after the interrupted rotation.
		left int
	}{
		"Read":      {reason: "nothing happened", at: "fleet get", err: broken, left: 1},
		"List":      {reason: "nothing happened", at: "member list", err: broken, left: 1},
		"Make":      {reason: "nothing happened", at: "member create", err: broken, left: 1},
		"Await":     {reason: "a new token that nobody has seen is there", at: "member get", err: broken, left: 2},
		"Try":       {reason: "a new token that does not work is not stored", at: "try", err: broken, left: 2},
		"Store":     {reason: "a new token that is not stored is there", at: "fleet update", err: broken, left: 2},
		"StoreRace": {reason: "somebody wrote the Secret meanwhile", at: "fleet update", err: apierrors.NewConflict(corev1.Resource("secrets"), "one", broken), left: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVault(t, 24*time.Hour, 15*time.Minute)
				time.Sleep(24 * time.Hour)
				v.fail[tc.at] = tc.err
				if _, err := v.rotate(); err == nil {
					t.Errorf("%s: want an error, so that it is tried again", tc.reason)
				}
				v.want(tc.reason, "token-1", tc.left)

				delete(v.fail, tc.at)
				time.Sleep(time.Minute)
				if _, err := v.rotate(); err != nil {
					t.Fatal(err)
				}
				latest := fmt.Sprintf("token-%d", tc.left+1)
				v.want("the next process rotates", latest, tc.left+1)
				time.Sleep(15 * time.Minute)
				if _, err := v.rotate(); err != nil {
					t.Fatal(err)
				}
				v.want("and leaves nothing behind", latest, 1)
			})
		})
	}
	t.Run("Revoke", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := newVault(t, 24*time.Hour, 15*time.Minute)
			time.Sleep(24 * time.Hour)
			if _, err := v.rotate(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Minute)
			v.fail["member delete"] = broken
			if _, err := v.rotate(); err == nil {
				t.Error("an old token that cannot be deleted is tried again: want an error")
			}
			v.want("the old token stays", "token-2", 2)
			delete(v.fail, "member delete")
			if _, err := v.rotate(); err != nil {
				t.Fatal(err)
			}
			v.want("and goes the next time", "token-2", 1)
		})
	})
}

// TestRotationLeavesOthers has tokens that are not, or not yet, the rotation's.
func TestRotationLeavesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, 24*time.Hour, 15*time.Minute)
		time.Sleep(24 * time.Hour)
		// Another syncer, or a join, has just made a token and is about to store it.
		newer, err := v.credentials.memberSecrets.Create(t.Context(), member.TokenSecret(wellknown.SyncerName, testFleet, tokenOwner), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		secret := v.stored().DeepCopy()
		secret.Annotations[wellknown.AnnotationTokenRotated] = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
		if err := v.fleet.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), secret, secret.Namespace); err != nil {
			t.Fatal(err)
		}
		if _, err := v.rotate(); err != nil {
			t.Fatal(err)
		}
		v.want("a token that may be about to come into use is not touched", "token-1", 2)

		secret.Data[wellknown.SecretKeyToken] = newer.Data[corev1.ServiceAccountTokenKey]
		secret.Annotations[wellknown.AnnotationTokenRotated] = time.Now().UTC().Format(time.RFC3339)
		if err := v.fleet.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), secret, secret.Namespace); err != nil {
			t.Fatal(err)
		}
		if _, err := v.rotate(); err != nil {
			t.Fatal(err)
		}
		v.want("one who joined again has the whole overlap for the old token", "token-2", 2)

		secret.Data[wellknown.SecretKeyToken] = []byte("by hand")
		if err := v.fleet.Tracker().Update(corev1.SchemeGroupVersion.WithResource("secrets"), secret, secret.Namespace); err != nil {
			t.Fatal(err)
		}
		time.Sleep(48 * time.Hour)
		before := len(v.member.Actions())
		if _, err := v.rotate(); err != nil {
			t.Fatal(err)
		}
		for _, action := range v.member.Actions()[before:] {
			if action.GetVerb() != "list" {
				t.Errorf("a token that was given by hand is not rotated: %s", action.GetVerb())
			}
		}
		if got := string(v.stored().Data[wellknown.SecretKeyToken]); got != "by hand" {
			t.Errorf("a token that was given by hand is replaced by %q", got)
		}
	})
}

func TestRotationRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault(t, 24*time.Hour, 15*time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); v.credentials.run(ctx) }()
		time.Sleep(7 * 24 * time.Hour)
		synctest.Wait()
		if v.made < 6 || v.made > 8 {
			t.Errorf("%d tokens in a week, want one a day", v.made)
		}
		if got := v.tokens(); len(got) > 2 {
			t.Errorf("the member takes %v, want at most two", got)
		}
		v.fail["member list"] = errors.New("away")
		time.Sleep(48 * time.Hour)
		synctest.Wait()
		made := v.made
		delete(v.fail, "member list")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if v.made != made+1 {
			t.Errorf("%d tokens in the two minutes after a member came back with an old one, want 1", v.made-made)
		}
		cancel()
		<-done
	})
}

func TestRotationValidate(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		rotation Rotation
		want     string
	}{
		"Default":  {reason: "it is sound", rotation: DefaultRotation()},
		"Never":    {reason: "nothing is replaced, so nothing overlaps", rotation: Rotation{Overlap: time.Minute}},
		"Negative": {reason: "there is no such time", rotation: Rotation{Period: -time.Second}, want: "neither may be negative"},
		"Overlap":  {reason: "old tokens would pile up", rotation: Rotation{Period: time.Minute, Overlap: time.Minute}, want: "it must be shorter"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.rotation.Validate()
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%s: Validate(): want %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
