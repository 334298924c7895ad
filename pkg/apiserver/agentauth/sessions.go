// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agentauth

import (
	"context"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// farewell is how long sessions outlive a Cluster that is gone. The event that
// says so is being sent on one of them, and an agent that does not get it stays in
// its member for ever: a refusal afterwards is no proof to it.
const farewell = 5 * time.Second

// Sessions ends the long requests of agents, watches and tunnels, when trust in
// them ends: at once, or a moment after the Cluster is gone. Authorization alone
// looks only when a request begins.
type Sessions struct {
	clusters *Clusters
	clock    clock.WithDelayedExecution

	mu   sync.Mutex
	open map[string]sets.Set[*session]
}

// session is one long request.
type session struct {
	agent Agent
	end   context.CancelFunc
}

// NewSessions returns an empty set of sessions. The clusters must be connected
// and not run yet.
func NewSessions(clusters *Clusters) (*Sessions, error) {
	s := &Sessions{clusters: clusters, clock: clock.RealClock{}, open: map[string]sets.Set[*session]{}}
	gone := func(cluster string) { s.clock.AfterFunc(farewell, func() { s.changed(cluster) }) }
	if err := clusters.onChange(s.changed, gone); err != nil {
		return nil, err
	}
	return s, nil
}

// Handler serves requests that are authorized already. When trust ends, so does
// the context of those requests of the agent that long says take long.
func (s *Sessions) Handler(next http.Handler, long genericapirequest.LongRunningRequestCheck) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		u, _ := genericapirequest.UserFrom(req.Context())
		info, _ := genericapirequest.RequestInfoFrom(req.Context())
		agent, ok := AgentOf(u)
		if !ok || info == nil || !long(req, info) {
			next.ServeHTTP(w, req)
			return
		}
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		opened := &session{agent: agent, end: cancel}
		s.add(opened)
		defer s.remove(opened)
		// The Cluster may have changed since the request was authorized.
		s.judge(opened)
		next.ServeHTTP(w, req.WithContext(ctx))
	})
}

func (s *Sessions) add(opened *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[opened.agent.Cluster] == nil {
		s.open[opened.agent.Cluster] = sets.New[*session]()
	}
	s.open[opened.agent.Cluster].Insert(opened)
}

func (s *Sessions) remove(closed *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sessions := s.open[closed.agent.Cluster].Delete(closed)
	if sessions.Len() == 0 {
		delete(s.open, closed.agent.Cluster)
	}
}

// changed ends the sessions that a Cluster does not trust any more.
func (s *Sessions) changed(cluster string) {
	s.mu.Lock()
	sessions := s.open[cluster].UnsortedList()
	s.mu.Unlock()
	for _, opened := range sessions {
		s.judge(opened)
	}
}

// judge ends a session unless its agent is trusted.
func (s *Sessions) judge(opened *session) {
	if reason, err := s.clusters.Refuse(opened.agent.Identity); err == nil && reason != "" {
		klog.Background().V(2).Info("Ending a session of an agent", "cluster", opened.agent.Cluster, "reason", reason)
		opened.end()
	}
}
