// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

const (
	// probeInterval is the time between two looks at a member that answers.
	probeInterval = 10 * time.Second
	// lostProbeInterval is the time between two looks at one that does not.
	lostProbeInterval = 3 * time.Second
	// probeTimeout bounds one look.
	probeTimeout = 5 * time.Second
	// accessInterval is the time after which the credentials are read again
	// though they work, so that rotation is noticed before the old ones expire.
	accessInterval = 5 * time.Minute
)

// Health is how a member was at the last look.
type Health struct {
	// Reachable is true while the member's API server answers.
	Reachable bool
	// Usable is true while it answers, takes the credentials and is the cluster
	// it should be. Nothing is written to a member that is not usable.
	Usable bool
	// Ready is true while it is usable and calls itself ready.
	Ready bool
	// Reason is one of the reasons of the condition Ready of a Cluster. It is
	// empty before the first look.
	Reason string
	// Message says more, for people.
	Message string
	// LostSince is when the member stopped answering, zero while it answers.
	LostSince time.Time
	// Version of the API server, for example v1.36.3, empty until it answered.
	Version string
}

// healthBox holds the Health and a channel that is closed when it changes.
type healthBox struct {
	mu      sync.Mutex
	health  Health
	changed chan struct{}
}

func (b *healthBox) init() { b.changed = make(chan struct{}) }

func (b *healthBox) get() (Health, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.health, b.changed
}

// set returns false when nothing changed.
func (b *healthBox) set(health Health) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if health == b.health {
		return false
	}
	b.health = health
	close(b.changed)
	b.changed = make(chan struct{})
	return true
}

// probeLoop looks at the member at intervals, and at once when a request to it
// failed.
func (m *Member) probeLoop(ctx context.Context) error {
	renewed := m.clock.Now()
	for ctx.Err() == nil {
		health := m.probe(ctx)
		if m.renewAsked.Swap(false) || !health.Usable || m.clock.Since(renewed) > accessInterval {
			renewed = m.clock.Now()
			if err := m.renew(ctx, &health); err != nil {
				return err
			}
		}
		m.publish(ctx, health)
		m.rest(ctx, health)
	}
	return nil
}

// rest waits for the time of the next look. A failed request cuts the wait
// short, but never below a second, however many fail.
func (m *Member) rest(ctx context.Context, health Health) {
	interval := probeInterval
	if !health.Usable {
		interval = lostProbeInterval
	}
	least := m.clock.NewTimer(time.Second)
	defer least.Stop()
	select {
	case <-ctx.Done():
		return
	case <-least.C():
	}
	most := m.clock.NewTimer(interval - time.Second)
	defer most.Stop()
	select {
	case <-ctx.Done():
	case <-most.C():
	case <-m.probeNow:
	}
}

func (m *Member) publish(ctx context.Context, health Health) {
	if ctx.Err() == nil && m.health.set(health) {
		klog.FromContext(ctx).V(2).Info("Member health changed", "cluster", m.name,
			"usable", health.Usable, "ready", health.Ready, "reason", health.Reason, "message", health.Message)
	}
}

// probe asks the member whether it is ready and, when it has not answered
// before, who it is.
func (m *Member) probe(ctx context.Context) Health {
	probed, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	last, _ := m.health.get()
	answer, err := m.askReady(probed)
	if err != nil {
		return m.unreached(last, err)
	}
	health := Health{Reachable: true, Version: last.Version}
	if m.link.found() || !last.Usable || answer.refused {
		if err := m.recognize(probed, &health); err != nil {
			health.Message = err.Error()
			return health
		}
	}
	health.Usable = true
	health.Ready = answer.unready == ""
	health.Reason, health.Message = clusterv1alpha1.ClusterReasonReady, "the member's API server is ready"
	if !health.Ready {
		health.Reason, health.Message = clusterv1alpha1.ClusterReasonNotReady, answer.unready
	}
	return health
}

// unreached is the Health after no answer came.
func (m *Member) unreached(last Health, err error) Health {
	m.link.lost(m.clock.Now(), err)
	_, since, err := m.link.state()
	// Requests on connections that lead nowhere would hang until TCP gives up.
	m.dialer.CloseAll()
	return Health{
		Reason:    clusterv1alpha1.ClusterReasonNotReachable,
		Message:   err.Error(),
		LostSince: since,
		Version:   last.Version,
	}
}

// readiness is an answer to /readyz.
type readiness struct {
	// unready are the member's words when it is not ready.
	unready string
	// refused says that it did not take the credentials.
	refused bool
}

// askReady asks /readyz. It returns an error when no answer came.
func (m *Member) askReady(ctx context.Context) (readiness, error) {
	var code int
	body, err := m.discovery.RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code).Raw()
	switch {
	case code == 0 && err != nil:
		return readiness{}, fmt.Errorf("ask member %q whether it is ready: %w", m.name, err)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return readiness{refused: true}, nil
	case code == http.StatusOK, code == http.StatusNotFound: // it has no such page and answers
		return readiness{}, nil
	case len(body) > 0:
		return readiness{unready: string(body)}, nil
	default:
		return readiness{unready: fmt.Sprintf("/readyz answered %d", code)}, nil
	}
}

// recognize fills in the version of the member, and the reason of health when
// it refuses the credentials or is another cluster than it should be.
func (m *Member) recognize(ctx context.Context, health *Health) error {
	system, err := m.core.Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	switch {
	case apierrors.IsUnauthorized(err), apierrors.IsForbidden(err):
		health.Reason = clusterv1alpha1.ClusterReasonCredentialsInvalid
		return fmt.Errorf("identify member %q: %w", m.name, err)
	case err != nil:
		health.Reason = clusterv1alpha1.ClusterReasonNotReady
		return fmt.Errorf("identify member %q: %w", m.name, err)
	case m.id != "" && string(system.UID) != m.id:
		health.Reason = clusterv1alpha1.ClusterReasonIdentityMismatch
		return fmt.Errorf("the cluster at the endpoint has id %s, member %q has %s", system.UID, m.name, m.id)
	}
	version, err := m.discovery.ServerVersion()
	if err != nil {
		health.Reason = clusterv1alpha1.ClusterReasonNotReady
		return fmt.Errorf("ask member %q for its version: %w", m.name, err)
	}
	health.Version = version.GitVersion
	m.Refresh()
	return nil
}

// renew reads the credentials again. It returns ErrMoved when more than the
// token changed. Credentials that are gone or malformed are the reason why a
// member that answers is not usable; one that is usable stays so.
func (m *Member) renew(ctx context.Context, health *Health) error {
	config, err := m.access(ctx)
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Credentials of member were not read again", "cluster", m.name, "err", err)
		if health.Reachable && !health.Usable && errors.Is(err, ErrCredentials) {
			health.Reason, health.Message = clusterv1alpha1.ClusterReasonCredentialsInvalid, err.Error()
		}
		return nil
	}
	if now, err := route(config); err != nil || now != m.route {
		return ErrMoved
	}
	token := config.BearerToken
	if old := m.transport.token.Swap(&token); old == nil || *old != token {
		klog.FromContext(ctx).V(2).Info("Took up new credentials for member", "cluster", m.name)
		m.probeNow.ring()
	}
	return nil
}
