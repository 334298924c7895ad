// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"sync"
	"weak"

	"golang.org/x/sync/singleflight"
)

// Catalog holds what many members have in common, once: the APIs they serve and
// the schemas of these. Entries live as long as a member uses them. The zero
// Catalog is ready to use and safe for concurrent use.
type Catalog struct {
	schemas shared[Schema]
	apis    shared[APIs]
	// fetches joins members that ask for the same schema at the same time.
	fetches singleflight.Group
}

// schema returns the schema with the hash. When no member has it yet, it is
// fetched once; whether it may be shared is for fetch to say, because a hash is
// only a member's claim about its own document.
func (c *Catalog) schema(ctx context.Context, hash string, fetch func(context.Context) (schema *Schema, genuine bool, err error)) (*Schema, error) {
	if schema := c.schemas.get(hash); schema != nil {
		return schema, nil
	}
	type result struct {
		schema  *Schema
		genuine bool
	}
	fetched, err, joined := c.fetches.Do(hash, func() (any, error) {
		schema, genuine, err := fetch(ctx)
		return result{schema, genuine}, err
	})
	own := fetched.(result)
	if joined && (err != nil || !own.genuine) {
		// Another member's trouble or untruth is not this member's.
		schema, genuine, err := fetch(ctx)
		own = result{schema, genuine}
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if !own.genuine {
		return own.schema, nil
	}
	return c.schemas.put(hash, own.schema), nil
}

// shared keeps values by the hash of their content while somebody uses them.
type shared[T any] struct {
	mu     sync.Mutex
	values map[string]weak.Pointer[T]
}

// get returns the value with the hash, nil when nobody uses one.
func (s *shared[T]) get(hash string) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values[hash].Value()
}

// put returns the value in use for the hash, which is value unless another
// caller was faster.
func (s *shared[T]) put(hash string, value *T) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	if used := s.values[hash].Value(); used != nil {
		return used
	}
	if s.values == nil {
		s.values = map[string]weak.Pointer[T]{}
	}
	for other, pointer := range s.values {
		if pointer.Value() == nil {
			delete(s.values, other)
		}
	}
	s.values[hash] = weak.Make(value)
	return value
}
