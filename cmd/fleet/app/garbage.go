// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// garbagePeriod is how often the rate of allocation is looked at.
	garbagePeriod = time.Second
	// startPeriod is how long the process starts. What it makes then mostly stays, and
	// the less garbage there is in between, the less memory that takes for good.
	startPeriod = 20 * time.Second
	// busyRate is the rate of allocation, in bytes per second, from which on the process
	// is busy. An idle fleet of a few members stays below an eighth of it.
	busyRate = 16 << 20
	// quietAfter is how long it has to stay below that to be quiet.
	quietAfter = 15 * time.Second
	// quietPercent is GOGC of a quiet process: to collect more often costs it next to
	// nothing, and it needs less memory.
	quietPercent = 50
	// busyPercent and mostBusyPercent bound that of a busy one: Go's default, and more as
	// long as the garbage is at most busyGarbage bytes.
	busyPercent, mostBusyPercent = 100, 300
	busyGarbage                  = 256 << 20
)

// garbage decides how much garbage there may be before it is collected, as a share of
// what is in use: little while the process is quiet, more while it is busy and small,
// when collecting would take a fifth of its time.
type garbage struct {
	started, busyAt time.Time
	// released says that memory was given back since the process was busy.
	released bool
}

// next returns GOGC for a rate of allocation in bytes per second and the bytes in use,
// and whether to give memory back now.
func (g *garbage) next(now time.Time, rate, live uint64) (percent int, release bool) {
	if rate >= busyRate {
		g.busyAt, g.released = now, false
	}
	switch {
	case now.Sub(g.started) < startPeriod:
		return quietPercent, false
	case now.Sub(g.busyAt) >= quietAfter:
		release, g.released = !g.released, true
		return quietPercent, release
	}
	// In steps, since to set it stops the process for a moment.
	const step = 50
	share := int(busyGarbage*100/max(live, 1)) / step * step
	return min(max(share, busyPercent), mostBusyPercent), false
}

// setsGarbage reports whether the environment says what GOGC is.
func setsGarbage() bool { return os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" }

// collectGarbage sets GOGC until ctx ends, unless the environment does.
func collectGarbage(ctx context.Context, clock clock.WithTicker) {
	if setsGarbage() {
		return
	}
	ticker := clock.NewTicker(garbagePeriod)
	defer ticker.Stop()
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	allocated, at := samples[0].Value.Uint64(), clock.Now()
	decide, current := &garbage{started: at}, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		metrics.Read(samples)
		now, sum := clock.Now(), samples[0].Value.Uint64()
		rate := float64(sum-allocated) / max(now.Sub(at).Seconds(), garbagePeriod.Seconds()/2)
		next, release := decide.next(now, uint64(rate), samples[1].Value.Uint64())
		if next != current {
			debug.SetGCPercent(next)
			klog.FromContext(ctx).V(4).Info("Set how much garbage there may be", "percent", next)
		}
		if release {
			// With little garbage it is long until the next collection, after which the
			// runtime would give back by itself what was needed while busy.
			debug.FreeOSMemory()
		}
		current, allocated, at = next, sum, now
	}
}
