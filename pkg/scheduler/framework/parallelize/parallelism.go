// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package parallelize

import (
	"context"
	"runtime"

	"k8s.io/client-go/util/workqueue"
)

const (
	// worthwhile is from how many pieces on it pays to start goroutines: those of a
	// member take a fraction of a microsecond, to start one and to wait for it some.
	worthwhile = 256
	// chunk is how many pieces a goroutine takes at a time.
	chunk = 64
	// workers there are at most.
	workers = 16
)

// Until calls do for 0 to pieces-1, and returns when all are done, or the context
// ended. do is called from several goroutines; what it panics with goes to the log.
func Until(ctx context.Context, pieces int, do func(piece int)) {
	if pieces < worthwhile {
		for piece := range pieces {
			do(piece)
		}
		return
	}
	workqueue.ParallelizeUntil(ctx, min(workers, runtime.GOMAXPROCS(0)), pieces, do, workqueue.WithChunkSize(chunk))
}
