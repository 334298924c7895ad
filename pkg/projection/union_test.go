// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/apis/core"
)

func TestVersions(t *testing.T) {
	stored, first, second, next := versionAt(7, 0, 3), versionAt(7, 1, 3), versionAt(7, 2, 3), versionAt(8, 0, 3)
	if !slices.IsSorted([]uint64{stored, first, second, next}) {
		t.Errorf("versions are not in order: %d %d %d %d", stored, first, second, next)
	}
	if revisionOf(second) != 7 || counterOf(second) != 2 || serverOf(second) != 3 {
		t.Errorf("version %d is (%d, %d, %d), want (7, 2, 3)", second, revisionOf(second), counterOf(second), serverOf(second))
	}
	if last := versionAt(7, maxCounter, MaxServer); last >= versionAt(8, 0, 1) {
		t.Errorf("the last version of a revision is %d, want it before the next revision's", last)
	}
	if int64(versionAt(1<<40, 0, 0)) < 0 {
		t.Error("a version is negative as an int64, which continue tokens hold")
	}
}

func TestVersionerComparesAcrossServers(t *testing.T) {
	cases := map[string]struct {
		reason string
		a, b   uint64
		same   bool
	}{
		"Stored":       {reason: "A stored object may be updated through any server.", a: versionAt(7, 0, 1), b: versionAt(7, 0, 2), same: true},
		"StoredLater":  {reason: "It changed in etcd.", a: versionAt(7, 0, 1), b: versionAt(8, 0, 1)},
		"Member":       {reason: "Each server counts for itself what it sees in members.", a: versionAt(7, 1, 1), b: versionAt(7, 1, 2)},
		"MemberStored": {reason: "An object of a member is not the stored one of that name.", a: versionAt(7, 1, 1), b: versionAt(7, 0, 1)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got [2]uint64
			for i, version := range []uint64{tc.a, tc.b} {
				pod := &core.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(version, 10)}}
				var err error
				if got[i], err = (versioner{}).ObjectResourceVersion(pod); err != nil {
					t.Fatal(err)
				}
			}
			if (got[0] == got[1]) != tc.same {
				t.Errorf("%s\nversions are compared as %d and %d, want the same: %t", tc.reason, got[0], got[1], tc.same)
			}
		})
	}
}

// podOf is a Pod as it comes from etcd or a member.
func podOf(key, uid, version string) *core.Pod {
	namespace, name := splitKey(key)
	return &core.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid), ResourceVersion: version}}
}

func seenPod(key, uid string, version uint64) observation {
	return observation{key: key, object: podOf(key, uid, fmt.Sprint(version)), version: version}
}

// shownBy lists what a union serves, name=uid.
func shownBy(t *testing.T, u *union) []string {
	t.Helper()
	objects, position := u.ledger.Snapshot()
	var shown []string
	objects.Ascend(func(e *entry) bool {
		pod := e.Object.(*core.Pod)
		if key := keyOf(pod); key != e.Key {
			t.Errorf("object %q is served as %q", key, e.Key)
		}
		if pod.ResourceVersion != fmt.Sprint(e.ResourceVersion) || e.ResourceVersion > position {
			t.Errorf("object %q has version %s, its entry %d, at position %d", e.Key, pod.ResourceVersion, e.ResourceVersion, position)
		}
		shown = append(shown, e.Key+"="+string(pod.UID))
		return true
	})
	return shown
}

func TestNames(t *testing.T) {
	cases := map[string]struct {
		reason string
		do     func(u *union)
		want   []string
	}{
		"Unchanged": {
			reason: "A name nobody else has stays.",
			do:     func(u *union) { u.put("b", seenPod("x/web", "1", 1), false) },
			want:   []string{"x/web=1"},
		},
		"TwoMembers": {
			reason: "The first member by name has the name, whoever came first.",
			do: func(u *union) {
				u.put("b", seenPod("x/web-0", "1", 1), false)
				u.put("a", seenPod("x/web-0", "2", 1), false)
			},
			want: []string{"x/web-0=2", "x/web-0.b=1"},
		},
		"Stored": {
			reason: "A stored object goes before all members.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "1", 1), false)
				_ = u.putStored(podOf("x/web", "2", "11"))
			},
			want: []string{"x/web=2", "x/web.a=1"},
		},
		"StoredGone": {
			reason: "The name goes to the member's object once the stored one is gone.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "1", 1), false)
				_ = u.putStored(podOf("x/web", "2", "11"))
				_ = u.removeStored(podOf("x/web", "2", "12"))
			},
			want: []string{"x/web=1"},
		},
		"MemberGone": {
			reason: "The next member has the name.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "1", 1), false)
				u.put("b", seenPod("x/web", "2", 1), false)
				u.put("c", seenPod("x/web", "3", 1), false)
				u.remove("a", "x/web", 0)
			},
			want: []string{"x/web=2", "x/web.c=3"},
		},
		"MadeUpNameIsTaken": {
			reason: "An object that really has a name keeps it.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "1", 1), false)
				u.put("b", seenPod("x/web", "2", 1), false)
				u.put("a", seenPod("x/web.b", "3", 1), false)
			},
			want: []string{"x/web=1", "x/web.b=3", "x/web.b.b=2"},
		},
		"MadeUpNameIsFree": {
			reason: "A made up name is the shortest that is free.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "1", 1), false)
				u.put("b", seenPod("x/web", "2", 1), false)
				u.put("a", seenPod("x/web.b", "3", 1), false)
				u.remove("a", "x/web.b", 0)
			},
			want: []string{"x/web=1", "x/web.b=2"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			u := newUnion(&Kind{SetOwner: showOwner}, NoOwners{})
			if err := u.load(10, 1, nil); err != nil {
				t.Fatal(err)
			}
			tc.do(u)
			if diff := cmp.Diff(tc.want, shownBy(t, u)); diff != "" {
				t.Errorf("%s\nshown (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestLearned(t *testing.T) {
	cases := map[string]struct {
		reason string
		do     func(u *union)
		want   []string
	}{
		"WatchIsBehind": {
			reason: "What the watch tells of before the answer to a write is old.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "written", 5), true)
				u.put("a", seenPod("x/web", "before", 3), false)
			},
			want: []string{"x/web=written"},
		},
		"WatchCaughtUp": {
			reason: "After the watch told of the write, only its word counts, also after a restore of the member.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "written", 5), true)
				u.put("a", seenPod("x/web", "written", 5), false)
				u.put("a", seenPod("x/web", "restored", 2), false)
			},
			want: []string{"x/web=restored"},
		},
		"AnswerIsLate": {
			reason: "The watch was faster than the answer.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "later", 7), false)
				u.put("a", seenPod("x/web", "written", 5), true)
			},
			want: []string{"x/web=later"},
		},
		"GoneMeanwhile": {
			reason: "An answer does not bring back what the watch says is gone.",
			do: func(u *union) {
				u.remove("a", "x/web", 6)
				u.put("a", seenPod("x/web", "written", 5), true)
			},
		},
		"OldListKeepsIt": {
			reason: "A list of before the write does not know of the object.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "written", 5), true)
				u.retain("a", nil, 4)
			},
			want: []string{"x/web=written"},
		},
		"NewListDropsIt": {
			reason: "A list of after the write does.",
			do: func(u *union) {
				u.put("a", seenPod("x/web", "written", 5), true)
				u.retain("a", nil, 6)
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			u := newUnion(&Kind{SetOwner: showOwner}, NoOwners{})
			if err := u.load(10, 1, nil); err != nil {
				t.Fatal(err)
			}
			u.put("a", seenPod("x/web", "first", 1), false)
			tc.do(u)
			if diff := cmp.Diff(tc.want, shownBy(t, u)); diff != "" {
				t.Errorf("%s\nshown (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRetainInSteps has a member lose more than the versions of one revision can tell.
func TestRetainInSteps(t *testing.T) {
	const pods = 2*chunk + 3
	u := newUnion(&Kind{SetOwner: showOwner}, NoOwners{})
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	for n := range pods {
		u.put("a", seenPod(fmt.Sprintf("x/web-%d", n), fmt.Sprint(n), 1), false)
	}
	calls, last := 0, u.position()
	for more := true; more; calls++ {
		more = u.retain("a", map[string]struct{}{"x/web-7": {}}, 1)
		now := u.position()
		if now-last > chunk<<serverBits {
			t.Fatalf("more than %d changes at once: from version %d to %d", chunk, last, now)
		}
		last = now
	}
	if diff := cmp.Diff([]string{"x/web-7=7"}, shownBy(t, u)); diff != "" || calls != 3 {
		t.Errorf("want one Pod left after 3 calls, got %d calls (-want +got):\n%s", calls, diff)
	}
}

func TestEtcdThatWentBack(t *testing.T) {
	u := newUnion(&Kind{SetOwner: showOwner}, NoOwners{})
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	if err := u.load(9, 1, nil); err == nil {
		t.Error("an etcd that is at an older revision is served, want an error: its versions were given already")
	}
}

// TestUnionIsWhatThereIs makes random changes in etcd and members. At any time
// names, and what is merged under one, must follow from what exists alone; the
// changes the ledger tells must lead from each state to the next, in versions that
// grow.
func TestUnionIsWhatThereIs(t *testing.T) {
	t.Run("Named", func(t *testing.T) { changeAtRandom(t, &Kind{SetOwner: showOwner, Lost: losePods}, modelNames) })
	t.Run("Merged", func(t *testing.T) { changeAtRandom(t, &Kind{Merge: mergePods, Lost: losePods}, modelMerged) })
}

// mergePods makes a Pod whose uid is that of all.
func mergePods(objects []runtime.Object) runtime.Object {
	merged := objects[0].DeepCopyObject().(*core.Pod)
	for _, object := range objects[1:] {
		merged.UID += "+" + object.(*core.Pod).UID
	}
	return merged
}

// losePods marks the uids of Pods.
func losePods(object runtime.Object, _ Cluster) bool {
	object.(*core.Pod).UID += "?"
	return true
}

func changeAtRandom(t *testing.T, kind *Kind, model func(stored map[string]string, members map[string]map[string]string) map[string]string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	u := newUnion(kind, NoOwners{})
	if err := u.load(10, 1, nil); err != nil {
		t.Fatal(err)
	}
	_, from, reader := u.ledger.SnapshotAndFollow()
	defer reader.Close()
	stored := map[string]string{}
	members := map[string]map[string]string{"a": {}, "b": {}, "c": {}}
	lost := map[string]bool{}
	names := []string{"x/web", "x/web.b", "x/web.c", "x/db", "y/web"}
	followed := map[string]string{}
	revision, version := uint64(10), uint64(0)
	for step := range 20000 {
		key, member := names[random.IntN(len(names))], string("abc"[random.IntN(3)])
		version++
		uid := fmt.Sprint(step)
		switch choice := random.IntN(21); {
		case choice < 2:
			revision++
			_ = u.putStored(podOf(key, uid, fmt.Sprint(revision)))
			stored[key] = uid
		case choice < 4:
			revision++
			_ = u.removeStored(podOf(key, uid, fmt.Sprint(revision)))
			delete(stored, key)
		case choice < 5:
			revision++
			u.follow(revision)
		case choice < 12:
			u.put(member, seenPod(key, uid, version), random.IntN(4) == 0 && members[member][key] != "")
			members[member][key] = uid
		case choice < 17:
			u.remove(member, key, version)
			delete(members[member], key)
		case choice < 18:
			lost[member] = !lost[member]
			turned := Cluster{Name: member}
			if lost[member] {
				turned.Unready = "lost"
			}
			u.turn(turned)
			u.reshow(member)
		default:
			members[member] = map[string]string{key: uid}
			u.putAll(member, []observation{seenPod(key, uid, version)})
			u.retain(member, map[string]struct{}{key: {}}, version)
		}
		for random.IntN(2) == 0 && u.unmergedCount() > 0 {
			u.mergeSome()
		}
		batch, err := reader.Next()
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		for i := range batch.Changes {
			c := &batch.Changes[i]
			if c.ResourceVersion <= from {
				t.Fatalf("step %d: version %d comes after %d", step, c.ResourceVersion, from)
			}
			from = c.ResourceVersion
			if (c.Old != nil) != (followed[c.Key()] != "") {
				t.Fatalf("step %d: change of %q has an old state: %t, it was there: %q", step, c.Key(), c.Old != nil, followed[c.Key()])
			}
			delete(followed, c.Key())
			if c.Next != nil {
				followed[c.Key()] = string(c.Next.Object.(*core.Pod).UID)
			}
		}
		if u.unmergedCount() > 0 {
			continue
		}
		want := model(stored, marked(members, lost))
		if diff := cmp.Diff(want, followed, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("step %d: watched (-want +got):\n%s", step, diff)
		}
		if step%100 == 0 {
			var listed []string
			for _, key := range slices.Sorted(maps.Keys(want)) {
				listed = append(listed, key+"="+want[key])
			}
			if diff := cmp.Diff(listed, shownBy(t, u), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("step %d: listed (-want +got):\n%s", step, diff)
			}
		}
	}
}

// marked is what members have as losePods shows it.
func marked(members map[string]map[string]string, lost map[string]bool) map[string]map[string]string {
	shown := map[string]map[string]string{}
	for member, objects := range members {
		shown[member] = maps.Clone(objects)
		for key := range objects {
			if lost[member] {
				shown[member][key] += "?"
			}
		}
	}
	return shown
}

// modelMerged says what is under each name, from what exists.
func modelMerged(stored map[string]string, members map[string]map[string]string) map[string]string {
	merged := map[string]string{}
	for _, member := range []string{"a", "b", "c"} {
		for key, uid := range members[member] {
			if merged[key] != "" {
				merged[key] += "+"
			}
			merged[key] += uid
		}
	}
	maps.Copy(merged, stored)
	return merged
}

// modelNames says who has which name, from what exists.
func modelNames(stored map[string]string, members map[string]map[string]string) map[string]string {
	exists := map[string]bool{}
	for key := range stored {
		exists[key] = true
	}
	for _, objects := range members {
		for key := range objects {
			exists[key] = true
		}
	}
	named := map[string]string{}
	var late []string // key of the base, and member
	for key := range exists {
		_, first := stored[key]
		if first {
			named[key] = stored[key]
		}
		for _, member := range []string{"a", "b", "c"} {
			uid, ok := members[member][key]
			switch {
			case !ok:
			case !first:
				named[key], first = uid, true
			default:
				late = append(late, key+" "+member)
			}
		}
	}
	slices.SortFunc(late, func(x, y string) int { return len(y) - len(x) }) // names that are closer first
	for _, entry := range late {
		key, member, _ := strings.Cut(entry, " ")
		name := key + "." + member
		for exists[name] || named[name] != "" {
			name += "." + member
		}
		named[name] = members[member][key]
	}
	return named
}
