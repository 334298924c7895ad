// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package member

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

func TestCatalogSchema(t *testing.T) {
	fetched := 0
	fetch := func(genuine bool) func(context.Context) (*Schema, bool, error) {
		return func(context.Context) (*Schema, bool, error) {
			fetched++
			return &Schema{}, genuine, nil
		}
	}
	c := &Catalog{}
	lied, err := c.schema(t.Context(), "hash", fetch(false))
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.schema(t.Context(), "hash", fetch(true))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.schema(t.Context(), "hash", fetch(true))
	if err != nil {
		t.Fatal(err)
	}
	if first == lied {
		t.Error("a schema under a hash that is not its own was shared: one member could decide what is compared in another")
	}
	if first != second || fetched != 2 {
		t.Errorf("the same schema was fetched %d times, want 2 (once for the lie)", fetched)
	}
	if _, err := c.schema(t.Context(), "other", func(context.Context) (*Schema, bool, error) { return nil, false, errors.New("away") }); err == nil {
		t.Error("schema() after a failed fetch: no error")
	}
	runtime.KeepAlive(first)
	first, second = nil, nil //nolint:ineffassign,wastedassign // the last users go
	runtime.GC()
	if _, err := c.schema(t.Context(), "hash", fetch(true)); err != nil || fetched != 3 {
		t.Errorf("a schema nobody uses any more is kept (%v)", err)
	}
}
