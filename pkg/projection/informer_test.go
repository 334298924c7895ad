// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/apis/core"
)

// informer is what is behind client-go's informers, over whichever server is
// current: a reflector and its store.
type informer struct {
	cache.Store

	server  atomic.Pointer[server]
	lists   atomic.Int32
	watches atomic.Int32

	mu    sync.Mutex
	wrong []string // guarded by mu
}

func newInformer(ctx context.Context, first *server) *informer {
	i := &informer{Store: cache.NewStore(cache.MetaNamespaceKeyFunc)}
	i.server.Store(first)
	reflector := cache.NewReflectorWithOptions(unstreamed{&cache.ListWatch{
		ListWithContextFunc: func(_ context.Context, options metav1.ListOptions) (runtime.Object, error) {
			i.lists.Add(1)
			found, err := i.server.Load().pods.Pod.List(as("anna", "", "list", ""), &metainternalversion.ListOptions{
				ResourceVersion: options.ResourceVersion, Limit: options.Limit, Continue: options.Continue,
			})
			return found, err
		},
		WatchFuncWithContext: func(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
			i.watches.Add(1)
			ctx, cancel := context.WithCancel(as("anna", "", "watch", ""))
			current := i.server.Load()
			w, err := current.watch(ctx, &metainternalversion.ListOptions{
				ResourceVersion: options.ResourceVersion, AllowWatchBookmarks: true,
			})
			if err != nil {
				cancel()
				return nil, err
			}
			return &cancelled{Interface: w, cancel: cancel}, nil
		},
	}}, &core.Pod{}, i, cache.ReflectorOptions{
		Backoff: &wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Steps: 5, Cap: 300 * time.Millisecond},
	})
	go reflector.RunWithContext(ctx)
	return i
}

// Add implements cache.Store.
func (i *informer) Add(object any) error {
	i.told("added", object, false)
	return i.Store.Add(object)
}

// Update implements cache.Store.
func (i *informer) Update(object any) error {
	i.told("modified", object, true)
	return i.Store.Update(object)
}

// Delete implements cache.Store.
func (i *informer) Delete(object any) error {
	i.told("deleted", object, true)
	return i.Store.Delete(object)
}

// told notes what does not follow from what was told before.
func (i *informer) told(what string, object any, known bool) {
	if _, exists, _ := i.Get(object); exists != known {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.wrong = append(i.wrong, fmt.Sprintf("%s %s, which existed: %t", what, object.(*core.Pod).Name, exists))
	}
}

// unstreamed makes the informer list, then watch.
type unstreamed struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported tells reflectors not to stream lists.
func (unstreamed) IsWatchListSemanticsUnSupported() bool { return true }

// cancelled ends the request with the watch.
type cancelled struct {
	watch.Interface

	cancel context.CancelFunc
}

// Stop implements watch.Interface.
func (c *cancelled) Stop() {
	c.Interface.Stop()
	c.cancel()
}

// contentOf is what of a Pod the model knows, whatever server it is read from.
func contentOf(pod *core.Pod) string { return string(pod.UID) + " " + pod.Annotations["content"] }

// differs compares what the informer has with a fresh list.
func (i *informer) differs(t *testing.T) string {
	t.Helper()
	found, err := i.server.Load().pods.Pod.List(as("anna", "", "list", ""), all())
	if err != nil {
		return err.Error()
	}
	want := map[string]string{}
	for j := range found.(*core.PodList).Items {
		pod := &found.(*core.PodList).Items[j]
		want[pod.Namespace+"/"+pod.Name] = contentOf(pod)
	}
	got := map[string]string{}
	for _, object := range i.List() {
		pod := object.(*core.Pod)
		got[pod.Namespace+"/"+pod.Name] = contentOf(pod)
	}
	return cmp.Diff(want, got)
}

// TestInformerMissesNothing changes things at random while members, servers and
// the link between them come and go. After each round the store of a client-go
// informer must be what a list says, and no event may contradict those before.
func TestInformerMissesNothing(t *testing.T) {
	const rounds, steps = 12, 60
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	etcd := startEtcd(t)
	members := newMembers(t, "a", "b", "c")
	servers := []*server{newServer(t, etcd, members), newServer(t, etcd, members, func(o *Options) { o.Server = 2 })}
	current := 0
	i := newInformer(t.Context(), servers[0])
	content := 0
	step := func() {
		content++
		member := members.members[string("abc"[random.IntN(3)])]
		name := fmt.Sprintf("web-%d", random.IntN(8))
		live := member.Get("Pod", "default", name)
		switch choice := random.IntN(20); {
		case choice < 8 && live == nil:
			member.Put(t, memberPod(t, "default", name, "n1"))
		case choice < 8:
			member.Edit(t, "Pod", "default", name, func(o *unstructured.Unstructured) {
				o.SetAnnotations(map[string]string{"content": fmt.Sprint(content)})
			})
		case choice < 13 && live != nil:
			member.Remove(t, "Pod", "default", name)
		case choice < 15:
			pod := storedPod("default", name)
			_, err := servers[current].pods.Pod.Create(as("anna", "default", "create", ""), pod, nil, &metav1.CreateOptions{})
			if err != nil && !apierrors.IsAlreadyExists(err) {
				t.Fatalf("create %s: %v", name, err)
			}
		case choice < 17:
			zero := int64(0)
			_, _, err := servers[current].pods.Pod.Delete(as("anna", "default", "delete", ""), name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{GracePeriodSeconds: &zero})
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsConflict(err) {
				t.Fatalf("delete %s: %v", name, err)
			}
		case choice < 18:
			member.setDown(errors.New("the link is cut"))
		case choice < 19:
			member.setDown(nil)
		}
	}
	for round := range rounds {
		for range steps {
			step()
		}
		switch round % 4 {
		case 1: // the current server restarts
			servers[current].stop()
			number := uint64(current + 1) //nolint:gosec // 1 or 2
			servers[current] = newServer(t, etcd, members, func(o *Options) { o.Server = number })
			i.server.Store(servers[current])
		case 3: // clients are sent to the other server
			old := servers[current]
			current = 1 - current
			i.server.Store(servers[current])
			number := uint64(2 - current) //nolint:gosec // 1 or 2
			old.stop()
			servers[1-current] = newServer(t, etcd, members, func(o *Options) { o.Server = number })
		}
		for range steps {
			step()
		}
		for _, member := range members.members {
			member.setDown(nil)
		}
		diff := ""
		deadline := time.Now().Add(waitLong)
		for time.Now().Before(deadline) {
			if diff = i.differs(t); diff == "" && settled(members, servers[current]) {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if diff != "" {
			t.Fatalf("round %d: the informer differs from a list (-list +informer):\n%s", round, diff)
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.wrong) > 0 {
		t.Errorf("events contradict those before: %v", i.wrong)
	}
	// One list at the start and one for each server that is new to the client.
	if lists := i.lists.Load(); lists > 1+rounds/2+2 {
		t.Errorf("%d lists in %d rounds, want one for each change of server", lists, rounds)
	}
	t.Logf("%d lists, %d watches", i.lists.Load(), i.watches.Load())
}

// settled says whether a server shows as many Pods as there are.
func settled(members *testMembers, s *server) bool {
	want := 0
	for _, member := range members.members {
		for n := range 8 {
			if member.Get("Pod", "default", fmt.Sprintf("web-%d", n)) != nil {
				want++
			}
		}
	}
	got, said := s.list(all())
	for _, pod := range got {
		if pod[len(pod)-1] == '=' {
			want++
		}
	}
	return len(said) == 0 && len(got) == want
}
