// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package dialer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
)

const (
	// dialTimeout bounds a dial, whatever it tries; attemptTimeout what is tried with
	// one Pod.
	dialTimeout, attemptTimeout = 30 * time.Second, 3 * time.Second
	// attempts is how many Pods of one member are tried.
	attempts = 2
	// knownFor is how long it is remembered what is behind a Service in a member.
	knownFor = 2 * time.Second
	// doubtedFor is how long a member or Pod comes last after it failed.
	doubtedFor = 30 * time.Second
)

// Way is how requests get to the API server of a member.
type Way struct {
	// URL is where it is.
	URL *url.URL
	// Transport carries requests there, in the name of the fleet's API server.
	Transport http.RoundTripper
}

// Member is one that has a Service.
type Member struct {
	// Name of the Cluster.
	Name string
	// Ready says that it is not known to be out of reach.
	Ready bool
}

// Members reaches members.
type Members interface {
	// Having returns the members that have a Service of the fleet, in any order.
	Having(service types.NamespacedName) []Member
	// Way returns the way to a member; upgrade asks for one whose connections can be
	// upgraded, in HTTP/1.1. It is good for one request.
	Way(ctx context.Context, member string, upgrade bool) (Way, error)
}

// Dialer connects to Services and Pods of the fleet. Watch must come before the
// first dial.
type Dialer struct {
	members  Members
	pods     PodFinder
	clock    clock.WithTicker
	services cache.Indexer
	ranges   []net.IPNet // of cluster IPs

	asking singleflight.Group
	plain  func(ctx context.Context, network, address string) (net.Conn, error)

	mu      sync.Mutex
	known   map[place]known                 // guarded by mu
	blamed  map[types.NamespacedName]blamed // guarded by mu; by Service
	doubted map[suspect]time.Time           // guarded by mu; when they failed
}

// PodFinder returns the member of a Pod that the fleet shows, and its name there.
type PodFinder func(namespace, name string) (member, inMember string, ok bool)

// place is a Service in a member.
type place struct {
	member  string
	service types.NamespacedName
	port    string
}

// known is what was behind a Service at a time.
type known struct {
	targets []target
	err     error // why there are none
	at      time.Time
}

// suspect is a member, or a Pod in it, that failed.
type suspect struct{ member, namespace, pod string }

// New returns a Dialer that knows no Services yet. pods may be nil when the fleet
// shows none.
func New(members Members, pods PodFinder, clock clock.WithTicker) *Dialer {
	registerMetrics()
	return &Dialer{
		members: members, pods: pods, clock: clock, known: map[place]known{}, blamed: map[types.NamespacedName]blamed{}, doubted: map[suspect]time.Time{},
		plain: (&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext,
	}
}

// byClusterIP is the index of Services by what upstream resolves them to.
const byClusterIP = "fleet.dev/cluster-ip"

// Watch has Services come from an informer that is not started yet; their cluster IPs
// are of the ranges.
func (d *Dialer) Watch(services cache.SharedIndexInformer, ranges ...net.IPNet) error {
	d.services, d.ranges = services.GetIndexer(), ranges
	return services.AddIndexers(cache.Indexers{byClusterIP: clusterIPs})
}

func clusterIPs(object any) ([]string, error) {
	service, ok := object.(*corev1.Service)
	if !ok {
		return nil, fmt.Errorf("index %T by cluster IP: want a Service", object)
	}
	return slices.DeleteFunc(slices.Clone(service.Spec.ClusterIPs), func(ip string) bool { return ip == corev1.ClusterIPNone }), nil
}

// DialContext connects to a port of a Service whose cluster IP is dialed, and to
// anything else directly: the host of a Service of type ExternalName.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	service, port, err := d.serviceAt(address)
	if err != nil {
		return nil, err
	}
	if service == nil {
		return d.plain(ctx, network, address)
	}
	return d.dialService(ctx, service, port)
}

// serviceAt returns the Service with a cluster IP, nil when there is none.
func (d *Dialer) serviceAt(address string) (*corev1.Service, int32, error) {
	host, number, err := net.SplitHostPort(address)
	if err != nil {
		return nil, 0, fmt.Errorf("dial %q: %w", address, err)
	}
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, 0, fmt.Errorf("dial %q: %w", address, err)
	}
	found, err := d.services.ByIndex(byClusterIP, host)
	if err != nil {
		return nil, 0, fmt.Errorf("dial %q: %w", address, err)
	}
	if len(found) == 0 {
		return nil, 0, d.checkOutside(address, host)
	}
	return found[0].(*corev1.Service), int32(port), nil //nolint:gosec // 16 bits
}

// checkOutside refuses the address of a Service that is gone: in the network of this
// server it is somebody else's.
func (d *Dialer) checkOutside(address, host string) error {
	ip := net.ParseIP(host)
	if ip != nil && slices.ContainsFunc(d.ranges, func(r net.IPNet) bool { return r.Contains(ip) }) {
		return fmt.Errorf("dial %q: no Service has this address", address)
	}
	return nil
}

// dialService connects to a ready Pod behind a port of a Service, in any member.
func (d *Dialer) dialService(ctx context.Context, service *corev1.Service, number int32) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	began := d.clock.Now()
	defer func() { seconds.Observe(d.clock.Since(began).Seconds()) }()
	key := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	port, err := portOf(service, number)
	if err != nil {
		return nil, fmt.Errorf("dial service %q: %w", key, err)
	}
	members := d.ordered(key, d.members.Having(key))
	if len(members) == 0 {
		return nil, fmt.Errorf("dial service %q: it is in no member", key)
	}
	var failures []string
	for _, member := range members {
		conn, err := d.dialMember(ctx, place{member: member, service: key, port: port.Name})
		if counted(err) == nil {
			d.excuse(key)
			return conn, nil
		}
		failures = append(failures, fmt.Sprintf("member %q: %v", member, err))
		if ctx.Err() != nil {
			break
		}
	}
	slices.Sort(failures)
	return nil, d.blame(key, fmt.Sprintf("dial service %q: %s", key, withoutPorts(strings.Join(failures, "; "))))
}

// blamed is why a Service could not be dialed, at a time.
type blamed struct {
	err error
	at  time.Time
}

// blame returns the error of a Service that no member answers for. It is the same one for
// a while: the aggregator writes it into the status of an APIService and looks
// again at each change of that, without limit.
func (d *Dialer) blame(service types.NamespacedName, words string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	for old, said := range d.blamed {
		if now.Sub(said.at) >= doubtedFor {
			delete(d.blamed, old)
		}
	}
	said, ok := d.blamed[service]
	if !ok {
		said = blamed{err: errors.New(words), at: now}
		d.blamed[service] = said
	}
	return said.err
}

// excuse forgets why a Service could not be dialed.
func (d *Dialer) excuse(service types.NamespacedName) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.blamed, service)
}

// localEnd is the near end of a connection in the words of package net. Its port is
// another one each time.
var localEnd = regexp.MustCompile(`[0-9a-fA-F.:\[\]]+->`)

func withoutPorts(words string) string { return localEnd.ReplaceAllString(words, "") }

// dialMember connects to one of the Pods behind a Service in a member.
func (d *Dialer) dialMember(ctx context.Context, at place) (net.Conn, error) {
	targets, err := d.targets(ctx, at)
	if err != nil {
		return nil, err
	}
	var failures []string
	for _, to := range targets[:min(attempts, len(targets))] {
		conn, err := d.dialPod(ctx, at.member, to)
		if err == nil {
			return conn, nil
		}
		d.forget(at)
		if len(targets) == 1 {
			return nil, err
		}
		// Which Pods were tried is chance.
		failures = append(failures, strings.ReplaceAll(err.Error(), to.pod, "..."))
	}
	return nil, fmt.Errorf("of %d Pods that are ready none could be connected to: %s", len(targets), slices.Min(failures))
}

// dialPod connects to a port of a Pod in a member.
func (d *Dialer) dialPod(ctx context.Context, member string, to target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	doubt := func(error) { d.doubt(suspect{member: member, namespace: to.namespace, pod: to.pod}) }
	way, err := d.members.Way(ctx, member, true)
	if err != nil {
		d.doubt(suspect{member: member})
		return nil, err
	}
	conn, err := forward(ctx, way, to, d.clock, doubt)
	if err != nil {
		doubt(err)
	}
	return conn, err
}

// targets returns the Pods behind a Service in a member, those that failed lately
// last.
func (d *Dialer) targets(ctx context.Context, at place) ([]target, error) {
	d.mu.Lock()
	found, ok := d.known[at]
	d.mu.Unlock()
	if !ok || d.clock.Since(found.at) > knownFor {
		// Those who dial at the same time ask once.
		asked, _, _ := d.asking.Do(fmt.Sprint(at), func() (any, error) { return d.ask(context.WithoutCancel(ctx), at), nil })
		found = asked.(known)
	}
	if found.err != nil {
		return nil, found.err
	}
	targets := slices.Clone(found.targets)
	rand.Shuffle(len(targets), func(i, j int) { targets[i], targets[j] = targets[j], targets[i] })
	slices.SortStableFunc(targets, func(a, b target) int {
		return d.rank(suspect{at.member, a.namespace, a.pod}) - d.rank(suspect{at.member, b.namespace, b.pod})
	})
	return targets, nil
}

// ask asks a member what is behind a Service and remembers it.
func (d *Dialer) ask(ctx context.Context, at place) known {
	found := known{}
	found.targets, found.err = d.find(ctx, at)
	found.at = d.clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for place, old := range d.known {
		if found.at.Sub(old.at) > knownFor {
			delete(d.known, place)
		}
	}
	d.known[at] = found
	return found
}

// find asks a member what is behind a Service.
func (d *Dialer) find(ctx context.Context, at place) ([]target, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	way, err := d.members.Way(ctx, at.member, false)
	if err != nil {
		d.doubt(suspect{member: at.member})
		return nil, err
	}
	slices, err := endpoints(ctx, way, at.service)
	if err != nil {
		d.doubt(suspect{member: at.member})
		return nil, err
	}
	return targetsOf(slices, at.service.Namespace, at.port)
}

func (d *Dialer) forget(at place) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.known, at)
}

// ordered returns members in the order they are to be tried. Those that are as good
// are in an order that belongs to the Service: servers of an API that keep something
// are asked in one member as long as it is there, by all API servers of the fleet, and
// different Services prefer different members.
func (d *Dialer) ordered(service types.NamespacedName, members []Member) []string {
	members = slices.Clone(members)
	rank := func(member Member) int {
		rank := d.rank(suspect{member: member.Name})
		if !member.Ready {
			rank += 2
		}
		return rank
	}
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(weight(service, a.Name), weight(service, b.Name)), strings.Compare(a.Name, b.Name))
	})
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = member.Name
	}
	return names
}

// weight is a number that belongs to a Service in a member.
func weight(service types.NamespacedName, member string) uint64 {
	hash := fnv.New64a()
	hash.Write([]byte(service.String() + "/" + member)) // a hash never fails to write
	return hash.Sum64()
}

// rank is 1 for what failed lately.
func (d *Dialer) rank(what suspect) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if failed, ok := d.doubted[what]; ok && d.clock.Since(failed) < doubtedFor {
		return 1
	}
	return 0
}

// doubt has what failed come last for a while.
func (d *Dialer) doubt(what suspect) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.clock.Now()
	for old, failed := range d.doubted {
		if now.Sub(failed) >= doubtedFor {
			delete(d.doubted, old)
		}
	}
	d.doubted[what] = now
}
