// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/kubernetes/pkg/apis/core"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// testOwners name owners as members do.
type testOwners struct{ known map[string]Owner }

// Owner implements Owners.
func (o *testOwners) Owner(key string) (Owner, bool) {
	owner, ok := o.known[key]
	return owner, ok
}

// Follow implements Owners.
func (o *testOwners) Follow(ctx context.Context, _ func(string)) { <-ctx.Done() }

// become makes an owner have a uid.
func (o *testOwners) become(key, uid string) {
	o.known[key] = Owner{Reference: metav1.OwnerReference{Name: key, UID: types.UID(uid)}, Labels: map[string]string{"hash": "of " + uid}}
}

// ownedPod is a Pod of a member whose owner has a key.
func ownedPod(key, owner string, version uint64) observation {
	seen := seenPod(key, key, version)
	seen.owner = owner
	seen.object.(*core.Pod).Labels = map[string]string{"hash": "member's", "app": "web"}
	return seen
}

// owners are what a union shows, name: owner, its uid and the label.
func ownersShown(u *union) []string {
	objects, _ := u.ledger.Snapshot()
	var shown []string
	objects.Ascend(func(e *entry) bool {
		pod := e.Object.(*core.Pod)
		line := e.Key + ":"
		for _, owner := range pod.OwnerReferences {
			line += " " + owner.Name + " " + string(owner.UID)
		}
		shown = append(shown, line+" "+pod.Labels["hash"])
		return true
	})
	return shown
}

func TestOwnersShown(t *testing.T) {
	cases := map[string]struct {
		reason string
		do     func(u *union, owners *testOwners)
		want   []string
	}{
		"Known": {
			reason: "The fleet's owner is shown, and the labels by which it selects.",
			do: func(u *union, owners *testOwners) {
				owners.become("web", "1")
				u.put("a", ownedPod("x/web-a", "web", 1), false)
			},
			want: []string{"x/web-a: web 1 of 1"},
		},
		"Nobody": {
			reason: "A Pod nobody owns is shown as it is.",
			do:     func(u *union, _ *testOwners) { u.put("a", ownedPod("x/web-a", "", 1), false) },
			want:   []string{"x/web-a: member's"},
		},
		"Later": {
			reason: "An owner may be seen after its Pods.",
			do: func(u *union, owners *testOwners) {
				u.put("a", ownedPod("x/web-a", "web", 1), false)
				u.put("b", ownedPod("x/web-b", "db", 1), false)
				owners.become("web", "1")
				u.reown("web")
			},
			want: []string{"x/web-a: web 1 of 1", "x/web-b: member's"},
		},
		"Another": {
			reason: "One that was made anew is the owner from then on.",
			do: func(u *union, owners *testOwners) {
				owners.become("web", "1")
				u.put("a", ownedPod("x/web-a", "web", 1), false)
				owners.become("web", "2")
				u.reown("web")
			},
			want: []string{"x/web-a: web 2 of 2"},
		},
		"Gone": {
			reason: "The owner that is gone stays, also when the Pod changes while it ends.",
			do: func(u *union, owners *testOwners) {
				owners.become("web", "1")
				u.put("a", ownedPod("x/web-a", "web", 1), false)
				delete(owners.known, "web")
				u.reown("web")
				u.put("a", ownedPod("x/web-a", "web", 2), false)
			},
			want: []string{"x/web-a: web 1 of 1"},
		},
		"TakenOver": {
			reason: "A Pod may be adopted by another owner.",
			do: func(u *union, owners *testOwners) {
				owners.become("web", "1")
				owners.become("db", "2")
				u.put("a", ownedPod("x/web-a", "web", 1), false)
				u.put("a", ownedPod("x/web-a", "db", 2), false)
				owners.become("web", "3")
				u.reown("web")
			},
			want: []string{"x/web-a: db 2 of 2"},
		},
		"NoLabel": {
			reason: "A label that the Pod has not is none by which it is selected.",
			do: func(u *union, owners *testOwners) {
				owners.become("web", "1")
				seen := ownedPod("x/web-a", "web", 1)
				delete(seen.object.(*core.Pod).Labels, "hash")
				u.put("a", seen, false)
			},
			want: []string{"x/web-a: web 1 "},
		},
		"TwoNames": {
			reason: "What is shown under another name has its owner, too.",
			do: func(u *union, owners *testOwners) {
				u.put("a", ownedPod("x/web-0", "web", 1), false)
				u.put("b", ownedPod("x/web-0", "web", 1), false)
				owners.become("web", "1")
				u.reown("web")
				u.remove("a", "x/web-0", 0)
			},
			want: []string{"x/web-0: web 1 of 1"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			owners := &testOwners{known: map[string]Owner{}}
			u := newUnion(&Kind{SetOwner: showOwner}, owners)
			if err := u.load(10, 1, nil); err != nil {
				t.Fatal(err)
			}
			tc.do(u, owners)
			if diff := cmp.Diff(tc.want, ownersShown(u)); diff != "" {
				t.Errorf("%s\nshown (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestManyOwned gives an owner more Pods than are changed at once.
func TestManyOwned(t *testing.T) {
	const pods = 2*chunk + 3
	owners := &testOwners{known: map[string]Owner{}}
	u := newUnion(&Kind{SetOwner: showOwner}, owners)
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	for n := range pods {
		u.put("a", ownedPod(fmt.Sprintf("x/web-%d", n), "web", 1), false)
	}
	owners.become("web", "1")
	calls, last := 0, u.position()
	for more := true; more; calls++ {
		more = u.reown("web")
		if now := u.position(); now-last > chunk<<serverBits {
			t.Fatalf("more than %d changes at once: from version %d to %d", chunk, last, now)
		} else {
			last = now
		}
	}
	shown := ownersShown(u)
	if owned := slices.IndexFunc(shown, func(line string) bool { return line[len(line)-4:] != "of 1" }); owned >= 0 || len(shown) != pods || calls != 3 {
		t.Errorf("want %d Pods with their owner after 3 calls, got %d after %d, among them %v", pods, len(shown), calls, owned)
	}
	u.reown("web")
	if now := u.position(); now != last {
		t.Errorf("what has its owner already is not changed: version %d after %d", now, last)
	}
	for n := range pods {
		u.remove("a", fmt.Sprintf("x/web-%d", n), 0)
	}
	if len(u.owned) > 0 {
		t.Errorf("nothing is kept about owners of nothing: got %v", u.owned)
	}
}

// versionsOf are the versions of kinds that own Pods; the others are of apps/v1.
var versionsOf = map[string]string{"Job": "batch/v1", "ReplicationController": "v1"}

func owning(kind, name, uid string, labels map[string]string) *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: stdcmp.Or(versionsOf[kind], "apps/v1"), Kind: kind},
		ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: types.UID(uid), Labels: labels},
	}
}

func TestWorkloads(t *testing.T) {
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	record := owning("ReplicaSet", "web-fleets", "rs", map[string]string{wellknown.LabelRevision: "s", "pod-template-hash": "fleets", "app": "web"})
	workloads := &Workloads{Client: metadatafake.NewSimpleMetadataClient(scheme,
		record, owning("ReplicaSet", "bare", "bare", nil), owning("StatefulSet", "db", "db", nil),
		owning("DaemonSet", "agent", "agent", nil), owning("Job", "once", "once", nil), owning("ReplicationController", "rc", "rc", nil),
	)}
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan string, 100)
	done := make(chan struct{})
	if _, ok := workloads.Owner("StatefulSet/x/db"); ok {
		t.Error("nothing is known before it is followed")
	}
	go func() { defer close(done); workloads.Follow(ctx, func(key string) { told <- key }) }()
	defer func() { cancel(); <-done }()
	var keys []string
	for len(keys) < 7 {
		select {
		case key := <-told:
			keys = append(keys, key)
		case <-time.After(waitLong):
			t.Fatalf("want seven keys, got %v", keys)
		}
	}

	cases := map[string]struct {
		reason           string
		kind, name, hash string
		want             Owner
	}{
		"Deployment": {
			reason: "The record of the same Pod template owns, whatever the member calls its own.",
			kind:   "ReplicaSet", name: "web-members", hash: "members",
			want: Owner{
				Reference: metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-fleets", UID: "rs", Controller: new(true), BlockOwnerDeletion: new(true)},
				Labels:    map[string]string{"pod-template-hash": "fleets"},
			},
		},
		"ReplicaSet": {
			reason: "A ReplicaSet that is a template itself owns.", kind: "ReplicaSet", name: "bare",
			want: Owner{Reference: metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "bare", UID: "bare", Controller: new(true), BlockOwnerDeletion: new(true)}},
		},
		"StatefulSet": {
			reason: "So does a StatefulSet.", kind: "StatefulSet", name: "db",
			want: Owner{Reference: metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "db", Controller: new(true), BlockOwnerDeletion: new(true)}},
		},
		"Job": {
			reason: "So does a Job, which selects its Pods by its uid.", kind: "Job", name: "once",
			want: Owner{
				Reference: metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "once", UID: "once", Controller: new(true), BlockOwnerDeletion: new(true)},
				Labels:    map[string]string{"batch.kubernetes.io/controller-uid": "once", "controller-uid": "once"},
			},
		},
		"ReplicationController": {
			reason: "So does a ReplicationController.", kind: "ReplicationController", name: "rc",
			want: Owner{Reference: metav1.OwnerReference{APIVersion: "v1", Kind: "ReplicationController", Name: "rc", UID: "rc", Controller: new(true), BlockOwnerDeletion: new(true)}},
		},
		"JobOfCronJob": {reason: "What is not in the fleet does not.", kind: "Job", name: "nightly-1"},
		"Record":       {reason: "A record owns nothing by its name.", kind: "ReplicaSet", name: "web-fleets"},
		"Others":       {reason: "Neither do kinds that are not the fleet's to know.", kind: "Rollout", name: "web"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "some"}}
			pod.Labels = map[string]string{wellknown.LabelTemplate: "s"}
			if tc.hash != "" {
				pod.Labels["pod-template-hash"] = tc.hash
			}
			pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: stdcmp.Or(versionsOf[tc.kind], "apps/v1"), Kind: tc.kind, Name: tc.name, UID: "member's", Controller: new(true)}}
			got, _ := workloads.Owner(podOwner(pod))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\nOwner(podOwner(...)): -want, +got:\n%s", tc.reason, diff)
			}
		})
	}
}

// toldOwners tell of keys when a test says so.
type toldOwners struct {
	mu    sync.Mutex
	known testOwners // guarded by mu
	tell  chan string
}

// Owner implements Owners.
func (o *toldOwners) Owner(key string) (Owner, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known.Owner(key)
}

// Follow implements Owners.
func (o *toldOwners) Follow(ctx context.Context, changed func(string)) {
	for {
		select {
		case key := <-o.tell:
			changed(key)
		case <-ctx.Done():
			return
		}
	}
}

// TestOwnerComesLate has an owner come after its Pod, and etcd refuse the write that this
// takes for a while.
func TestOwnerComesLate(t *testing.T) {
	const key = "StatefulSet/default/db"
	members := newMembers(t, "a")
	pod := memberPod(t, "default", "db-0", "n1")
	pod.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "member's", Controller: new(true)}})
	members.members["a"].Put(t, pod)
	owners := &toldOwners{known: testOwners{known: map[string]Owner{}}, tell: make(chan string)}
	var failing, failed atomic.Bool
	s := newServer(t, startEtcd(t), members, func(o *Options) {
		bump := o.Bump
		o.Owners = owners
		o.Bump = func(ctx context.Context) error {
			if failing.Load() {
				failed.Store(true)
				return errors.New("etcd is away")
			}
			return bump(ctx)
		}
	})
	eventually(t, "the Pod is listed", func() bool {
		got, _ := s.list(all())
		return len(got) == 1
	})
	if got := s.get("default", "db-0").OwnerReferences; len(got) > 0 {
		t.Errorf("an owner that is not in the fleet is shown: %v", got)
	}

	u := s.p.surfaces[0].union
	u.mu.Lock()
	u.counter = maxCounter - spareCounter
	u.mu.Unlock()
	failing.Store(true)
	owners.mu.Lock()
	owners.known.become(key, "fleet's")
	owners.mu.Unlock()
	owners.tell <- key
	eventually(t, "the write to be tried", failed.Load)
	failing.Store(false)
	eventually(t, "the owner to be shown", func() bool {
		got := s.get("default", "db-0").OwnerReferences
		return len(got) == 1 && got[0].UID == "fleet's"
	})
}
