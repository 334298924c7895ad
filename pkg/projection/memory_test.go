// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	registrypod "k8s.io/kubernetes/pkg/registry/core/pod"

	"fleet.dev/fleet/pkg/apis/wellknown"
)

// typicalPod is a Pod as a member serves it: two containers, probes, a projected
// token, conditions.
func typicalPod(n int) *corev1.Pod {
	container := func(name string) corev1.Container {
		return corev1.Container{
			Name: name, Image: "registry.example.com/team/" + name + ":v1.2.3", ImagePullPolicy: corev1.PullIfNotPresent,
			Env:            []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "POD_NUMBER", Value: fmt.Sprint(n)}},
			Ports:          []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			Resources:      corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}},
			VolumeMounts:   []corev1.VolumeMount{{Name: "token", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}}, PeriodSeconds: 10},
		}
	}
	status := func(name string) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Name: name, Image: "registry.example.com/team/" + name + ":v1.2.3", Ready: true,
			ImageID: "sha256:" + fmt.Sprintf("%064d", n), ContainerID: "containerd://" + fmt.Sprintf("%064d", n),
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
		}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("namespace-%d", n%20), Name: fmt.Sprintf("web-5d8f9c7b6d-%05d", n), GenerateName: "web-5d8f9c7b6d-",
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d8f9c7b6d", UID: "00000000-0000-0000-0000-000000000001", Controller: new(true), BlockOwnerDeletion: new(true),
			}},
			UID: types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", n)), ResourceVersion: fmt.Sprint(n + 1), CreationTimestamp: metav1.Now(),
			Labels: map[string]string{"app": "web", "pod-template-hash": "5d8f9c7b6d", wellknown.LabelTemplate: "7c9f8d6b5"},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", n%100), ServiceAccountName: "web",
			Containers: []corev1.Container{container("web"), container("sidecar")},
			Volumes:    []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}}}}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.1.2.3", HostIP: "192.168.1.1", PodIPs: []corev1.PodIP{{IP: "10.1.2.3"}},
			ContainerStatuses: []corev1.ContainerStatus{status("web"), status("sidecar")},
		},
	}
	for _, condition := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
	}
	return pod
}

// decoded is an object that shares no memory with others, as from the network.
func decoded(tb testing.TB, n int) *corev1.Pod {
	tb.Helper()
	data, err := typicalPod(n).Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := pod.Unmarshal(data); err != nil {
		tb.Fatal(err)
	}
	return pod
}

// heap is what is in use after garbage collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// plainStorage is what is below the Cacher of a plain API server: it sends what
// it decodes and keeps nothing.
type plainStorage struct {
	stillStorage

	pods func(send func(*core.Pod))
}

// Watch implements storage.Interface.
func (s *plainStorage) Watch(ctx context.Context, _ string, _ storage.ListOptions) (watch.Interface, error) {
	ctx, cancel := context.WithCancel(ctx)
	events := make(chan watch.Event)
	go func() {
		defer close(events)
		send := func(event watch.Event) {
			select {
			case events <- event:
			case <-ctx.Done():
			}
		}
		s.pods(func(pod *core.Pod) { send(watch.Event{Type: watch.Added, Object: pod}) })
		end := &core.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1000000"}}
		_ = storage.AnnotateInitialEventsEndBookmark(end)
		send(watch.Event{Type: watch.Bookmark, Object: end})
		<-ctx.Done()
	}()
	return &piped{events: events, cancel: cancel}, nil
}

// GetCurrentResourceVersion implements storage.Interface.
func (s *plainStorage) GetCurrentResourceVersion(context.Context) (uint64, error) {
	return 1000000, nil
}

// Versioner implements storage.Interface.
func (s *plainStorage) Versioner() storage.Versioner { return storage.APIObjectVersioner{} }

// piped is a watch over a channel.
type piped struct {
	events chan watch.Event
	cancel func()
}

// Stop implements watch.Interface.
func (p *piped) Stop() { p.cancel() }

// ResultChan implements watch.Interface.
func (p *piped) ResultChan() <-chan watch.Event { return p.events }

// stillStorage is an etcd in which nothing happens.
type stillStorage struct{ storage.Interface }

// EnableResourceSizeEstimation implements storage.Interface.
func (*stillStorage) EnableResourceSizeEstimation(storage.KeysFunc) error { return nil }

// RequestWatchProgress implements storage.Interface.
func (*stillStorage) RequestWatchProgress(context.Context) error { return nil }

// GetCurrentResourceVersion implements storage.Interface.
func (s *stillStorage) GetCurrentResourceVersion(context.Context) (uint64, error) { return 10, nil }

// CompactRevision implements storage.Interface.
func (*stillStorage) CompactRevision() int64 { return 0 }

func newPodCacher(tb testing.TB, below storage.Interface) *cacher.Cacher {
	tb.Helper()
	indexers := registrypod.Indexers()
	made, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage: below, Versioner: storage.APIObjectVersioner{}, GroupResource: core.Resource("pods"), ResourcePrefix: "/pods",
		KeyFunc: func(object kruntime.Object) (string, error) {
			key, err := cache.MetaNamespaceKeyFunc(object)
			return "/pods/" + key, err
		},
		NewFunc: func() kruntime.Object { return &core.Pod{} }, NewListFunc: func() kruntime.Object { return &core.PodList{} },
		GetAttrsFunc: registrypod.GetAttrs, Indexers: indexers, Codec: legacyscheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion),
		IndexerFuncs:        storage.IndexerFuncs{"spec.nodeName": registrypod.NodeNameTriggerFunc},
		EventsHistoryWindow: 75 * time.Second,
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(made.Stop)
	return made
}

// TestMemoryOfAPod compares what a Pod costs in the union and the Cacher above it
// with what it costs in the Cacher of a plain API server, where it is decoded one
// by one as well: heap after garbage collection, over 5,000 Pods.
func TestMemoryOfAPod(t *testing.T) {
	const pods = 5000
	kind := Pods(testTemplates{})
	fill := func(below func() storage.Interface) uint64 {
		before := heap()
		made := newPodCacher(t, below())
		eventually(t, "the Cacher has all Pods", func() bool {
			list := &core.PodList{}
			err := made.GetList(context.Background(), "/pods", storage.ListOptions{ResourceVersion: "0", Recursive: true, Predicate: storage.Everything}, list)
			return err == nil && len(list.Items) == pods
		})
		used := heap() - before
		runtime.KeepAlive(made)
		return used
	}
	unioned := func() storage.Interface {
		owners := &testOwners{known: map[string]Owner{}}
		for n := range 20 {
			owners.known[revisionKey(fmt.Sprintf("namespace-%d", n), "web", "7c9f8d6b5")] = Owner{
				Reference: metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-5d8f9c7b6d", UID: "1", Controller: new(true)},
			}
		}
		u := newUnion(&Kind{SetOwner: showOwner}, owners)
		if err := u.load(10, 1, nil); err != nil {
			t.Fatal(err)
		}
		for n := range pods {
			seen, _, err := kind.observe("member", decoded(t, n))
			if err != nil {
				t.Fatal(err)
			}
			u.put("member", seen, false)
		}
		return &unionStorage{
			stored: &stored{raw: &stillStorage{}, server: func() uint64 { return 1 }},
			union:  u, prefix: "/pods", newFunc: func() kruntime.Object { return &core.Pod{} },
		}
	}
	plain := func() storage.Interface {
		return &plainStorage{pods: func(send func(*core.Pod)) {
			for n := range pods {
				converted, err := kind.internal(decoded(t, n))
				if err != nil {
					t.Error(err)
					return
				}
				send(converted.(*core.Pod))
			}
		}}
	}
	// What other tests left behind may be freed while one of the two is filled, so that it
	// seems to take less.
	var base, ours uint64
	for range 3 {
		base, ours = fill(plain), fill(unioned)
		t.Logf("per Pod: %d bytes in a plain Cacher, %d with the union, ratio %.2f", base/pods, ours/pods, float64(ours)/float64(base))
		if float64(ours) <= 1.2*float64(base) {
			return
		}
	}
	t.Errorf("a projected Pod takes %d bytes, one in a plain Cacher %d: more than 1.2 times as much", ours/pods, base/pods)
}
