// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"k8s.io/kubernetes/pkg/scheduler/backend/heap"

	"fleet.dev/fleet/pkg/scheduler/template"
)

// priorities is the storage of the workqueue, which guards it with its own lock.
type priorities struct {
	heap     *heap.Heap[item]
	priority func(template.Key) int32
	pushed   uint64
}

type item struct {
	key      template.Key
	priority int32
	order    uint64
}

func newPriorities(priority func(template.Key) int32) *priorities {
	return &priorities{
		heap: heap.New(
			func(i item) string { return i.key.String() },
			func(a, b item) bool {
				if a.priority != b.priority {
					return a.priority > b.priority
				}
				return a.order < b.order
			},
		),
		priority: priority,
	}
}

// Touch keeps the place of a template that is added again, unless it became more
// important meanwhile.
func (p *priorities) Touch(key template.Key) {
	waiting, ok := p.heap.GetByKey(key.String())
	if !ok {
		return
	}
	if now := p.priority(key); now > waiting.priority {
		waiting.priority = now
		p.heap.AddOrUpdate(waiting)
	}
}

// Push adds a template.
func (p *priorities) Push(key template.Key) {
	p.pushed++
	p.heap.AddOrUpdate(item{key: key, priority: p.priority(key), order: p.pushed})
}

// Len is the number of templates.
func (p *priorities) Len() int { return p.heap.Len() }

// Pop removes the first template. The workqueue pops only when there is one.
func (p *priorities) Pop() template.Key {
	first, err := p.heap.Pop()
	if err != nil {
		return template.Key{}
	}
	return first.key
}
