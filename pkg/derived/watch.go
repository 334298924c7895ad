// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

import (
	"context"
	"strconv"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"

	"fleet.dev/fleet/pkg/apis/work"
	"fleet.dev/fleet/pkg/derived/ledger"
)

// Watch implements storage.Interface.
func (s *worksStorage) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	prefix, err := storage.PrepareKey(s.prefix, key, opts.Recursive)
	if err != nil {
		return nil, err
	}
	resourceVersion, err := s.Versioner().ParseResourceVersion(opts.ResourceVersion)
	if err != nil {
		return nil, err
	}
	return s.engine.ledger.Watch(ctx, ledger.WatchOptions[*work.Work]{
		Prefix: s.workKey(prefix),
		List:   opts,
		After:  resourceVersion,
		Wait: func(ctx context.Context, resumed bool) error {
			if resumed {
				return s.engine.waitFor(ctx, 0)
			}
			return s.waitNotOlderThan(ctx, opts.ResourceVersion)
		},
		NewFunc: s.newFunc,
		Gone:    withResourceVersion,
	}), nil
}

// withResourceVersion is the last state of a work with the version it went at.
func withResourceVersion(last *work.Work, resourceVersion uint64) *work.Work {
	gone := *last
	gone.ResourceVersion = strconv.FormatUint(resourceVersion, 10)
	return &gone
}
