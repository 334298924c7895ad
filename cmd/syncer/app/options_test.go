// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestServes(t *testing.T) {
	cases := map[string]struct {
		reason  string
		members []string
		want    map[string]bool
	}{
		"Names": {
			reason:  "a plain name is that member and no other that begins the same",
			members: []string{"edge-1", "edge-2"},
			want:    map[string]bool{"edge-1": true, "edge-2": true, "edge-10": false, "my-edge-1": false},
		},
		"Pattern": {
			reason:  "a pattern matches whole names, alternatives included",
			members: []string{"edge-[0-9]+|core"},
			want:    map[string]bool{"edge-10": true, "core": true, "core-2": false, "edge-": false},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			serves, err := (&Options{Members: tc.members}).serves()
			if err != nil {
				t.Fatalf("%s: serves(): %v", tc.reason, err)
			}
			got := map[string]bool{}
			for cluster := range tc.want {
				got[cluster] = serves(cluster)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
	if serves, err := (&Options{}).serves(); serves != nil || err != nil {
		t.Errorf("serves() without --members is not all: %v", err)
	}
}

func TestConfigRefuses(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*Options)
		want   string
	}{
		"Pull":    {"pull mode does not exist yet and must not run as push", func(o *Options) { o.Mode = "pull" }, "--mode"},
		"Workers": {"no workers would never do anything", func(o *Options) { o.Workers = 0 }, "--workers-per-member"},
		"Pattern": {"a pattern that is none must not match nothing in silence", func(o *Options) { o.Members = []string{"edge-["} }, "--members"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := NewOptions()
			tc.change(o)
			_, err := o.config()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: config() returned %v, want an error that names %s", tc.reason, err, tc.want)
			}
		})
	}
}

func TestLeaseName(t *testing.T) {
	all, some, others := NewOptions(), NewOptions(), NewOptions()
	some.Members, others.Members = []string{"edge-1"}, []string{"edge-2"}
	names := map[string]bool{all.leaseName(): true, some.leaseName(): true, others.leaseName(): true}
	if len(names) != 3 {
		t.Errorf("leaseName(): %v: syncers of different members would keep each other from working", names)
	}
}
