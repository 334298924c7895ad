// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"fleet.dev/fleet/pkg/scheduler/policy"
)

// prepared remembers what was made of each policy, for as long as the policy is as
// it was then: selectors are parsed and expressions compiled once, not with every
// decision. It is safe for concurrent use.
type prepared[P preparable, C any] struct {
	prepare func(P) (C, error)

	mu    sync.Mutex
	byRef map[policy.Ref]*result[P, C]
}

// preparable is a policy. Its objects are never changed, so one that is the same is
// as it was.
type preparable interface {
	comparable
	metav1.Object
}

type result[P preparable, C any] struct {
	policy P
	made   C
	err    error
	done   bool
}

func newPrepared[P preparable, C any](prepare func(P) (C, error)) *prepared[P, C] {
	return &prepared[P, C]{prepare: prepare, byRef: map[policy.Ref]*result[P, C]{}}
}

// set learns of a policy, which takes the place of the one of its name.
func (p *prepared[P, C]) set(of P) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byRef[policy.RefOf(of)] = &result[P, C]{policy: of}
}

// remove forgets a policy.
func (p *prepared[P, C]) remove(ref policy.Ref) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byRef, ref)
}

// of returns what was made of a policy. One that is not known is prepared each
// time.
func (p *prepared[P, C]) of(from P) (C, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.byRef[policy.RefOf(from)]
	if !ok || known.policy != from {
		return p.prepare(from)
	}
	return known.get(p.prepare)
}

func (r *result[P, C]) get(prepare func(P) (C, error)) (C, error) {
	if !r.done {
		r.made, r.err = prepare(r.policy)
		r.done = true
	}
	return r.made, r.err
}

// each calls do with what was made of every policy that is known.
func (p *prepared[P, C]) each(do func(of P, made C, err error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range p.byRef {
		made, err := known.get(p.prepare)
		do(known.policy, made, err)
	}
}
