// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// web is Service ns/web at 10.0.0.5 and fd00::5, port web = 443.
func web() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"},
		Spec: corev1.ServiceSpec{
			ClusterIP: "10.0.0.5", ClusterIPs: []string{"10.0.0.5", "fd00::5"},
			Ports: []corev1.ServicePort{{Name: "web", Port: 443}},
		},
	}
}

// newDialer knows the Service web, and a headless one.
func newDialer(t *testing.T, members Members, clock clock.WithTicker) *Dialer {
	t.Helper()
	d := New(members, nil, clock)
	informer := cache.NewSharedIndexInformer(&cache.ListWatch{}, &corev1.Service{}, 0, cache.Indexers{})
	if err := d.Watch(informer, net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(24, 32)}); err != nil {
		t.Fatal(err)
	}
	headless := web()
	headless.Name, headless.Spec.ClusterIP, headless.Spec.ClusterIPs = "headless", corev1.ClusterIPNone, []string{corev1.ClusterIPNone}
	for _, service := range []*corev1.Service{web(), headless} {
		if err := informer.GetIndexer().Add(service); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestDialService(t *testing.T) {
	pod := slice(endpoint("p1", nil))
	cases := map[string]struct {
		reason  string
		members func(t *testing.T) *fakeMembers
		address string
		want    string
		err     string
	}{
		"Ready": {
			reason: "The Pod that is ready gets the connection, at its own port.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				return members(newMember(t, "a", slice(endpoint("p1", new(false)), endpoint("p2", nil))))
			},
			want: "a/p2:8443 hello",
		},
		"SecondAddress": {
			reason: "Every cluster IP of the Service will do.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				return members(newMember(t, "a", pod))
			},
			address: "[fd00::5]:443",
			want:    "a/p1:8443 hello",
		},
		"MemberDown": {
			reason: "A member that is down is passed over.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				down := newMember(t, "a", pod)
				down.stop()
				return members(down, newMember(t, "b", pod))
			},
			want: "b/p1:8443 hello",
		},
		"MemberHangs": {
			reason: "A member that does not answer is given up, in time for the next.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				made := members(silent(t, "a"), newMember(t, "b", pod))
				made.having[1].Ready = false // comes last
				return made
			},
			want: "b/p1:8443 hello",
		},
		"NoEndpoints": {
			reason: "So is one that has no Pod.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				return members(newMember(t, "a"), newMember(t, "b", pod))
			},
			want: "b/p1:8443 hello",
		},
		"PodGone": {
			reason: "And a Pod that is gone since the EndpointSlices were written.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				return members(newMember(t, "a", slice(endpoint("gone", nil), endpoint("p1", nil))))
			},
			want: "a/p1:8443 hello",
		},
		"NoWay": {
			reason: "And one there is no way to.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				made := members(newMember(t, "b", pod))
				made.having = append(made.having, Member{Name: "a", Ready: true})
				return made
			},
			want: "b/p1:8443 hello",
		},
		"AllDown": {
			reason: "What is wrong with each member is said.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				made := members(newMember(t, "b"), newMember(t, "c", slice(endpoint("gone", nil))))
				made.having = append(made.having, Member{Name: "a"})
				return made
			},
			err: `dial service "ns/web": member "a": its agent is not connected; member "b": no Pod behind it is ready; member "c": forward to pod "gone": pods "gone" not found`,
		},
		"Nowhere": {
			reason:  "A Service that was not placed is in no member.",
			members: func(*testing.T) *fakeMembers { return &fakeMembers{} },
			err:     `dial service "ns/web": it is in no member`,
		},
		"Gone": {
			reason: "What has the address of a Service that is gone is a stranger.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				return members(newMember(t, "a", pod))
			},
			address: "10.0.0.9:443",
			err:     `dial "10.0.0.9:443": no Service has this address`,
		},
		"NoSuchPort": {
			reason: "The Service has no such port.",
			members: func(t *testing.T) *fakeMembers {
				t.Helper()
				return members(newMember(t, "a", pod))
			},
			address: "10.0.0.5:80",
			err:     `dial service "ns/web": it has no port 80`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := newDialer(t, tc.members(t), clock.RealClock{})
			address := tc.address
			if address == "" {
				address = "10.0.0.5:443"
			}
			conn, err := d.DialContext(t.Context(), "tcp", address)
			if err != nil || tc.err != "" {
				checkSays(t, tc.reason, tc.err, err)
				return
			}
			defer conn.Close() //nolint:errcheck // the test is about what came before
			says(t, conn, tc.want)
		})
	}
}

// checkSays checks that an error says something.
func checkSays(t *testing.T, reason, want string, err error) {
	t.Helper()
	if err == nil || want == "" || !strings.Contains(err.Error(), want) {
		t.Fatalf("\n%s\nwant error with %q, got %v", reason, want, err)
	}
}

// TestDialElsewhere dials what is no Service directly.
func TestDialElsewhere(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	conn, err := newDialer(t, &fakeMembers{}, clock.RealClock{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestOrder: members that are ready come first, what failed lately comes last, for a
// while. Apart from that each Service has an order.
func TestOrder(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	d := New(nil, nil, clock)
	order := func(service string, members ...Member) []string {
		return d.ordered(types.NamespacedName{Namespace: "ns", Name: service}, members)
	}
	a, b, away := Member{Name: "a", Ready: true}, Member{Name: "b", Ready: true}, Member{Name: "away"}
	usual := order("web", a, b, away)
	if usual[2] != "away" {
		t.Errorf("ordered(...): want the one that is not ready last, got %v", usual)
	}
	if got := order("web", away, b, a); !slices.Equal(got, usual) {
		t.Errorf("ordered(...): want the same order %v whatever the order they come in, got %v", usual, got)
	}
	d.doubt(suspect{member: usual[0]})
	if got := order("web", a, b, away); !slices.Equal(got, []string{usual[1], usual[0], "away"}) {
		t.Errorf("ordered(...): want %s after the other one that is ready, got %v", usual[0], got)
	}
	clock.Step(doubtedFor)
	if got := order("web", a, b, away); !slices.Equal(got, usual) {
		t.Errorf("ordered(...) after a while: want %v, got %v", usual, got)
	}
	d.doubt(suspect{member: "other"})
	if len(d.doubted) != 1 {
		t.Errorf("what failed long ago is remembered: %v", d.doubted)
	}
	first := map[string]int{}
	for i := range 100 {
		first[order(fmt.Sprint("web-", i), a, b)[0]]++
	}
	if first["a"] < 25 || first["b"] < 25 {
		t.Errorf("ordered(...) of 100 Services: want each member to be preferred by many, got %v", first)
	}
}

// TestKnown: what is behind a Service is asked once in a while, not for each dial,
// and again when a Pod is gone.
func TestKnown(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	member := newMember(t, "a", slice(endpoint("p1", nil)))
	d := newDialer(t, members(member), clock)
	dial := func() {
		t.Helper()
		conn, err := d.DialContext(t.Context(), "tcp", "10.0.0.5:443")
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	asked := func(reason string, want int32) {
		t.Helper()
		if got := member.listed.Load(); got != want {
			t.Errorf("%s: the member was asked %d times, want %d", reason, got, want)
		}
	}
	dial()
	dial()
	asked("two dials", 1)
	clock.Step(knownFor + time.Second)
	dial()
	asked("a dial later", 2)
	member.slices = []discoveryv1.EndpointSlice{slice(endpoint("gone", nil))}
	clock.Step(knownFor + time.Second)
	if conn, err := d.DialContext(t.Context(), "tcp", "10.0.0.5:443"); err == nil {
		t.Errorf("a connection to a Pod that is gone: %v", conn)
	}
	asked("the Pod is gone", 3)
	member.slices = []discoveryv1.EndpointSlice{slice(endpoint("p1", nil))}
	dial()
	asked("after a Pod was gone", 4)
}

// TestSameWords: the error of a Service that nobody answers for is the same, however the
// Pods and members that were tried were chosen, and whatever the connections' ports.
func TestSameWords(t *testing.T) {
	gone := slice(endpoint("gone", nil))
	for i := range 3 {
		gone.Endpoints = append(gone.Endpoints, endpoint(fmt.Sprintf("other-%d-gone", i), nil))
	}
	for name, later := range map[string]time.Duration{"Soon": knownFor + time.Second, "Later": doubtedFor + time.Second} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
			breaking := newMember(t, "c")
			breaking.breaks = true
			d := newDialer(t, members(newMember(t, "a", gone), newMember(t, "b", gone), breaking, newMember(t, "d")), clock)
			said := map[string]bool{}
			for range 20 {
				_, err := d.DialContext(t.Context(), "tcp", "10.0.0.5:443")
				checkSays(t, "Every member fails.", `member "a": of 4 Pods that are ready none could be connected to: forward to pod "...": pods "..." not found; member "b": `, err)
				said[err.Error()] = true
				clock.Step(later)
			}
			if len(said) != 1 {
				t.Errorf("20 dials: want one error, got %d: %v", len(said), said)
			}
		})
	}
}

// TestFailureIsKnown: a member that has nothing behind a Service is not asked for each dial.
func TestFailureIsKnown(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	member := newMember(t, "a")
	d := newDialer(t, members(member), clock)
	for _, want := range []int32{1, 1, 2} {
		_, err := d.DialContext(t.Context(), "tcp", "10.0.0.5:443")
		checkSays(t, "No Pod is ready.", errNoEndpoints.Error(), err)
		if got := member.listed.Load(); got != want {
			t.Errorf("the member was asked %d times, want %d", got, want)
		}
		if want == 1 && member.listed.Load() == 1 {
			clock.Step(knownFor/2 + time.Millisecond)
		}
	}
}

// TestWithoutPorts cuts what is another each time.
func TestWithoutPorts(t *testing.T) {
	cases := map[string]struct{ reason, words, want string }{
		"IPv4":    {reason: "The near end.", words: "read tcp 10.0.0.1:53422->10.0.0.2:6443: read: connection reset by peer", want: "read tcp 10.0.0.2:6443: read: connection reset by peer"},
		"IPv6":    {reason: "Also of IPv6.", words: "read tcp [::1]:53422->[::1]:6443: i/o timeout", want: "read tcp [::1]:6443: i/o timeout"},
		"Nothing": {reason: "The far end stays.", words: "dial tcp 10.0.0.2:6443: connect: connection refused", want: "dial tcp 10.0.0.2:6443: connect: connection refused"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := withoutPorts(tc.words); got != tc.want {
				t.Errorf("\n%s\nwithoutPorts(%q): want %q, got %q", tc.reason, tc.words, tc.want, got)
			}
		})
	}
}

// TestRefused: nothing listens in the Pod. The connection says so, and the Pod comes
// last.
func TestRefused(t *testing.T) {
	member := newMember(t, "a", slice(endpoint("p1", nil)))
	member.refused = "connection refused"
	d := newDialer(t, members(member), clock.RealClock{})
	conn, err := d.DialContext(t.Context(), "tcp", "10.0.0.5:443")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is about what came before
	if _, err = io.ReadAll(conn); err == nil || err.Error() != `forward to port 8443 of pod "p1": connection refused` {
		t.Errorf("read from a port where nothing listens: want the member's words, got %v", err)
	}
	if d.rank(suspect{"a", "ns", "p1"}) != 1 {
		t.Error("the Pod is as good as others")
	}
}

// TestEnds: either side ends the connection, and so does the loss of the member.
func TestEnds(t *testing.T) {
	member := newMember(t, "a", slice(endpoint("p1", nil)))
	d := newDialer(t, members(member), clock.RealClock{})
	dial := func() *forwarded {
		t.Helper()
		conn, err := d.DialContext(t.Context(), "tcp", "10.0.0.5:443")
		if err != nil {
			t.Fatal(err)
		}
		says(t, conn, "a/p1:8443 hello")
		return conn.(*forwarded)
	}
	open := func() float64 {
		value, err := testutil.GetGaugeMetricValue(connections)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	eventually(t, "connections of other tests end", func() bool { return open() == 0 })
	closed := dial()
	if got := open(); got != 1 {
		t.Errorf("connections that are open: want 1, got %v", got)
	}
	_ = closed.Close()
	await(t, "the client closed", closed.link.ended)

	lost := dial()
	member.stop()
	if _, err := io.ReadAll(lost); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read from a member that is lost: want the end, got %v", err)
	}
	await(t, "the member was lost", lost.link.ended)
	eventually(t, "nothing is left open", func() bool { return open() == 0 })
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s: nothing happens", what)
	}
}

// frozen returns a connection to a Pod and the network it goes through.
func frozen(t *testing.T, clock clock.WithTicker, flood bool) (*forwarded, *frozenLink) {
	t.Helper()
	member := newMember(t, "a", slice(endpoint("p1", nil)))
	member.flood = flood
	network := &frozenLink{}
	ways := members(member)
	ways.transport = network.transport()
	conn, err := newDialer(t, ways, clock).DialContext(t.Context(), "tcp", "10.0.0.5:443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*forwarded), network
}

// TestSilent: a member that stands still loses its connections.
func TestSilent(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	conn, network := frozen(t, clock, false)
	says(t, conn, "a/p1:8443 hello")
	if !conn.link.alive() {
		t.Error("a member that answers is taken for one that does not")
	}
	network.frozen.Store(true)
	eventually(t, "the connection ends", func() bool {
		clock.Step(pingPeriod)
		select {
		case <-conn.link.ended:
			return true
		default:
			return false
		}
	})
	if _, err := io.ReadAll(conn); !errors.Is(err, errSilent) {
		t.Errorf("Read(...): want %v, got %v", errSilent, err)
	}
}

// TestUnread: what the client does not read keeps the answers of the member back. That
// is not the member's fault.
func TestUnread(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	conn, network := frozen(t, clock, true)
	eventually(t, "the client is behind", conn.link.stalled.Load)
	network.frozen.Store(true) // no ping gets through
	answer := make(chan bool, 1)
	go func() { answer <- conn.link.alive() }()
	eventually(t, "the answer is given up", func() bool {
		clock.Step(pingTimeout)
		return len(answer) > 0
	})
	if !<-answer || conn.link.cause() != nil {
		t.Errorf("the connection of a client that does not read ended: %v", conn.link.cause())
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// frozenLink is a network that loses what is sent while it is frozen.
type frozenLink struct{ frozen atomic.Bool }

func (l *frozenLink) transport() http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &frozenConn{Conn: conn, link: l}, err
	}}
}

type frozenConn struct {
	net.Conn

	link *frozenLink
}

func (c *frozenConn) Write(p []byte) (int, error) {
	if c.link.frozen.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestPodTransport takes the Pod from the request.
func TestPodTransport(t *testing.T) {
	member := newMember(t, "a")
	d := New(members(member), func(namespace, name string) (string, string, bool) {
		return "a", "in-member", namespace == "ns" && name == "p1"
	}, clock.RealClock{})
	cases := map[string]struct {
		reason string
		info   *request.RequestInfo
		want   string
		err    string
	}{
		"Pod":      {reason: "A Pod of a member.", info: &request.RequestInfo{Resource: "pods", Namespace: "ns", Name: "p1"}, want: "a/in-member:8080 hello"},
		"WithPort": {reason: "The name may come with a scheme and a port.", info: &request.RequestInfo{Resource: "pods", Namespace: "ns", Name: "https:p1:8080"}, want: "a/in-member:8080 hello"},
		"Unknown":  {reason: "No member has it.", info: &request.RequestInfo{Resource: "pods", Namespace: "ns", Name: "p2"}, err: `dial pod "p2": it is in no member`},
		"Node":     {reason: "Nodes are in networks that the fleet has no part in.", info: &request.RequestInfo{Resource: "nodes", Name: "n1.a"}, err: errNotProxied.Error()},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			transport := d.PodTransport(&http.Transport{})
			conn, err := transport.DialContext(request.WithRequestInfo(t.Context(), tc.info), "tcp", "10.1.1.1:8080")
			if err != nil || tc.err != "" {
				checkSays(t, tc.reason, tc.err, err)
				return
			}
			defer conn.Close() //nolint:errcheck // the test is about what came before
			says(t, conn, tc.want)
		})
	}
}

// TestPodsNotShown: without projections it is not known where Pods are.
func TestPodsNotShown(t *testing.T) {
	d := New(&fakeMembers{}, nil, clock.RealClock{})
	ctx := request.WithRequestInfo(t.Context(), &request.RequestInfo{Resource: "pods", Namespace: "ns", Name: "p1"})
	_, err := d.PodTransport(&http.Transport{}).DialContext(ctx, "tcp", "10.1.1.1:8080")
	checkSays(t, "It says how to have them shown.", "(--projections)", err)
}

// TestResourceLocation names Services as Kubernetes does.
func TestResourceLocation(t *testing.T) {
	services := newDialer(t, members(newMember(t, "a", slice(endpoint("p1", nil)))), clock.RealClock{}).NewServices(&http.Transport{})
	cases := map[string]struct {
		reason, id, want, err string
	}{
		"Name":    {reason: "A port by name.", id: "web:web", want: "//web.ns:443"},
		"Number":  {reason: "A port by number, with a scheme.", id: "https:web:443", want: "https://web.ns:443"},
		"NoPort":  {reason: "Only a port without a name needs none.", id: "web", err: `no service port  found for service "web"`},
		"Missing": {reason: "There is no such Service.", id: "other:443", err: `services "other" not found`},
		"Invalid": {reason: "That is no name.", id: "a:b:c:d", err: `invalid service request "a:b:c:d"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			location, transport, err := services.ResourceLocation(request.WithNamespace(t.Context(), "ns"), tc.id)
			if err != nil || tc.err != "" {
				checkSays(t, tc.reason, tc.err, err)
				return
			}
			if location.String() != tc.want {
				t.Errorf("\n%s\nResourceLocation(%q): want %q, got %q", tc.reason, tc.id, tc.want, location)
			}
			conn, err := transport.(*http.Transport).DialContext(t.Context(), "tcp", location.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close() //nolint:errcheck // the test is about what came before
			says(t, conn, "a/p1:8443 hello")
		})
	}
}
