// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install" // Pods
	podstorage "k8s.io/kubernetes/pkg/registry/core/pod/storage"

	"fleet.dev/fleet/pkg/apis/wellknown"
	"fleet.dev/fleet/pkg/member/fake"
)

const waitLong = 30 * time.Second

// startEtcd runs an etcd of the test's own.
func startEtcd(tb testing.TB) *clientv3.Client {
	tb.Helper()
	config := embed.NewConfig()
	config.Dir = tb.TempDir()
	config.UnsafeNoFsync = true
	config.EnableGRPCGateway = false
	config.LogLevel = "error"
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	anyPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	config.ListenClientUrls, config.ListenPeerUrls = []url.URL{anyPort}, []url.URL{anyPort}
	server, err := embed.StartEtcd(config)
	if err != nil {
		tb.Fatalf("start etcd: %v", err)
	}
	tb.Cleanup(server.Close)
	<-server.Server.ReadyNotify()
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + server.Clients[0].Addr().String()}, DialTimeout: waitLong, Logger: zap.NewNop(),
	})
	if err != nil {
		tb.Fatalf("connect to etcd: %v", err)
	}
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// testMembers are fake members that can be cut off.
type testMembers struct {
	mu      sync.Mutex
	members map[string]*testMember
	changed chan struct{}
}

// testMember is one fake member and its link.
type testMember struct {
	*fake.Member

	mu      sync.Mutex
	down    error
	silent  chan struct{} // not nil while it does not answer
	unready string
	cut     context.CancelFunc // ends what runs
	epoch   context.Context
}

func newMembers(tb testing.TB, names ...string) *testMembers {
	tb.Helper()
	m := &testMembers{members: map[string]*testMember{}, changed: make(chan struct{})}
	for _, name := range names {
		made := &testMember{Member: fake.Start(tb)}
		made.setDown(nil)
		m.members[name] = made
	}
	return m
}

// Clusters implements Members.
func (m *testMembers) Clusters() ([]Cluster, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var clusters []Cluster
	for name, member := range m.members {
		clusters = append(clusters, Cluster{Name: name, Unready: member.unready})
	}
	slices.SortFunc(clusters, func(a, b Cluster) int { return strings.Compare(a.Name, b.Name) })
	return clusters, m.changed
}

// setUnready makes the fleet know why a member may be gone.
func (m *testMembers) setUnready(name, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members[name].unready = why
	close(m.changed)
	m.changed = make(chan struct{})
}

// remove makes the fleet lose a member.
func (m *testMembers) remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.members, name)
	close(m.changed)
	m.changed = make(chan struct{})
}

// Way implements Members.
func (m *testMembers) Way(_ context.Context, name string, _ bool) (Way, error) {
	m.mu.Lock()
	member := m.members[name]
	m.mu.Unlock()
	if member == nil {
		return Way{}, errors.New("no such member")
	}
	config := member.Config()
	at, err := url.Parse(config.Host)
	if err != nil {
		return Way{}, err
	}
	base, err := rest.TransportFor(config)
	if err != nil {
		return Way{}, err
	}
	return Way{URL: at, Transport: &cuttable{member: member, base: base}}, nil
}

// cuttable ends requests when the member is cut off.
type cuttable struct {
	member *testMember
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (c *cuttable) RoundTrip(req *http.Request) (*http.Response, error) {
	c.member.mu.Lock()
	down, epoch, silent := c.member.down, c.member.epoch, c.member.silent
	c.member.mu.Unlock()
	if down != nil {
		return nil, down
	}
	if silent != nil {
		select {
		case <-silent:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	ctx, cancel := context.WithCancel(req.Context())
	context.AfterFunc(epoch, cancel)
	return c.base.RoundTrip(req.WithContext(ctx))
}

// setDown cuts the member off, and connects it again when err is nil.
func (m *testMember) setDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
	m.renew()
}

// setSilent makes the member accept requests and not answer.
func (m *testMember) setSilent(silent bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.silent != nil {
		close(m.silent)
		m.silent = nil
	}
	if silent {
		m.silent = make(chan struct{})
	}
	m.renew()
}

// renew ends all requests that run.
func (m *testMember) renew() {
	if m.cut != nil {
		m.cut()
	}
	m.epoch, m.cut = context.WithCancel(context.Background())
}

// server is upstream's registry of Pods over projections, as in an API server.
type server struct {
	t    testing.TB
	pods podstorage.PodStorage
	p    *Projections
	etcd *clientv3.Client
	stop func()
}

type serverOption func(*Options)

// newServer starts a server over an etcd, again after stop.
func newServer(tb testing.TB, etcd *clientv3.Client, members Members, options ...serverOption) *server {
	tb.Helper()
	s := &server{t: tb, etcd: etcd}
	opts := Options{Kinds: []Kind{Pods(testTemplates{})}, Members: members, Server: 1, Bump: s.bump, MaxBackoff: 300 * time.Millisecond}
	for _, option := range options {
		option(&opts)
	}
	var err error
	if s.p, err = New(opts); err != nil {
		tb.Fatal(err)
	}
	if s.pods, err = podstorage.NewStorage(s.p.Wrap(s), nil, nil, nil, nil); err != nil {
		tb.Fatalf("make storage of Pods: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.p.Run(ctx) })
	s.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		s.pods.Pod.Destroy()
	})
	tb.Cleanup(s.stop)
	eventually(tb, "the storage is ready", func() bool {
		return s.p.Ready() == nil && s.pods.Pod.Storage.Storage.ReadinessCheck() == nil
	})
	return s
}

func (s *server) bump(ctx context.Context) error {
	_, err := s.etcd.Put(ctx, "/bump", "")
	return err
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (s *server) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	config := storagebackend.NewDefaultConfig("/registry", legacyscheme.Codecs.LegacyCodec(schema.GroupVersion{Version: "v1"}))
	config.CompactionInterval = 0
	config.Transport.ServerList = s.etcd.Endpoints()
	return generic.RESTOptions{
		StorageConfig: config.ForResource(resource), ResourcePrefix: resource.Resource,
		Decorator: generic.UndecoratedStorage, EnableGarbageCollection: true, DeleteCollectionWorkers: 1,
	}, nil
}

// warnings collects warning headers.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) AddWarning(_, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// as is the context of a request of a user about Pods in a namespace.
func as(name, namespace, verb, subresource string) context.Context {
	ctx := request.WithUser(request.NewContext(), &user.DefaultInfo{Name: name})
	ctx = request.WithNamespace(ctx, namespace)
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, Verb: verb, APIVersion: "v1", Resource: "pods", Subresource: subresource, Namespace: namespace,
	})
}

// list returns name=node of Pods in all namespaces, sorted, and warnings.
func (s *server) list(options *metainternalversion.ListOptions) ([]string, []string) {
	s.t.Helper()
	said := &warnings{}
	ctx, cancel := context.WithTimeout(warning.WithWarningRecorder(as("anna", "", "list", ""), said), waitLong)
	defer cancel()
	found, err := s.pods.Pod.List(ctx, options)
	if err != nil {
		s.t.Fatalf("list: %v", err)
	}
	var names []string
	for i := range found.(*core.PodList).Items {
		pod := &found.(*core.PodList).Items[i]
		names = append(names, pod.Namespace+"/"+pod.Name+"="+pod.Spec.NodeName)
	}
	return names, said.texts
}

func (s *server) get(namespace, name string) *core.Pod {
	s.t.Helper()
	found, err := s.pods.Pod.Get(as("anna", namespace, "get", ""), name, &metav1.GetOptions{})
	if err != nil {
		s.t.Fatalf("get %s/%s: %v", namespace, name, err)
	}
	return found.(*core.Pod)
}

// eventually polls until a condition holds.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	deadline := time.Now().Add(waitLong)
	for !holds() {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: not within %s", what, waitLong)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// memberPod is a Pod a member made of a fleet's workload.
func memberPod(tb testing.TB, namespace, name, node string) *unstructured.Unstructured {
	tb.Helper()
	return fake.Manifest(tb, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata:
  namespace: %s
  name: %s
  labels: {app: web, %s: abc}
spec:
  nodeName: %q
  containers: [{name: web, image: nginx}]
status: {phase: Running}
`, namespace, name, wellknown.LabelTemplate, node))
}

// storedPod is a Pod a user stores in the fleet.
func storedPod(namespace, name string) *core.Pod {
	grace := int64(30)
	return &core.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "web"}},
		Spec: core.PodSpec{
			RestartPolicy: core.RestartPolicyAlways, DNSPolicy: core.DNSClusterFirst, TerminationGracePeriodSeconds: &grace,
			Containers: []core.Container{{
				Name: "web", Image: "nginx", ImagePullPolicy: core.PullAlways, TerminationMessagePath: "/dev/termination-log",
				TerminationMessagePolicy: core.TerminationMessageReadFile,
			}},
			SecurityContext: &core.PodSecurityContext{},
		},
	}
}

// create stores a Pod.
func (s *server) create(pod *core.Pod) *core.Pod {
	s.t.Helper()
	made, err := s.pods.Pod.Create(as("anna", pod.Namespace, "create", ""), pod, nil, &metav1.CreateOptions{})
	if err != nil {
		s.t.Fatalf("create %s/%s: %v", pod.Namespace, pod.Name, err)
	}
	return made.(*core.Pod)
}

// watch watches Pods and gives them as if they had gone over the network.
func (s *server) watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	w, err := s.pods.Pod.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	return watch.Filter(w, func(event watch.Event) (watch.Event, bool) {
		if cached, ok := event.Object.(runtime.CacheableObject); ok {
			event.Object = cached.GetObject()
		}
		return event, true
	}), nil
}
