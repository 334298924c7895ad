// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package derived

// Bounds of recent.
const (
	recentBytes  = 8 << 20
	recentValues = 8192
)

// stored is a value in etcd.
type stored struct {
	value    []byte
	revision int64
}

// recent holds the values written last, oldest forgotten first. A value in it is
// the current one, because every event of its key passes through here; a key not
// in it says nothing. It is used by one goroutine.
type recent struct {
	values map[string]recentValue
	order  []string // may name keys that were written again, or deleted
	bytes  int
	writes int
}

type recentValue struct {
	stored
	write int // position in order, to tell stale names in it
}

func newRecent() *recent {
	return &recent{values: map[string]recentValue{}}
}

func (r *recent) put(key string, value stored) {
	r.delete(key)
	r.values[key] = recentValue{stored: value, write: r.writes}
	r.order = append(r.order, key)
	r.writes++
	r.bytes += len(value.value)
	for r.bytes > recentBytes || len(r.values) > recentValues || len(r.order) > 2*recentValues {
		r.forgetOldest()
	}
}

func (r *recent) forgetOldest() {
	key, write := r.order[0], r.writes-len(r.order)
	r.order[0] = ""
	r.order = r.order[1:]
	if value, ok := r.values[key]; ok && value.write == write {
		r.delete(key)
	}
}

func (r *recent) delete(key string) {
	if value, ok := r.values[key]; ok {
		r.bytes -= len(value.value)
		delete(r.values, key)
	}
}

func (r *recent) get(key string) (stored, bool) {
	value, ok := r.values[key]
	return value.stored, ok
}
