// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"sync"

	"github.com/google/cel-go/cel"

	clusterv1alpha1 "fleet.dev/fleet/pkg/apis/cluster/v1alpha1"
)

// Verdicts remembers what expressions say about a member that does not change: to
// evaluate one takes as long as everything else that is done with the member in a
// decision. Whoever keeps a member begins anew with the zero value when something
// about it changed; nil remembers nothing. It is safe for concurrent use.
type Verdicts struct {
	mu    sync.Mutex
	known map[cel.Program]bool
}

// maxVerdicts bounds what is remembered about one member. When there is more, all
// is forgotten.
const maxVerdicts = 4096

// Selects is Selector.Selects for the member the verdicts are about. A member that
// the expression makes no sense for is not selected.
func (v *Verdicts) Selects(s *Selector, cluster *clusterv1alpha1.Cluster) bool {
	if v == nil {
		selects, err := s.Selects(cluster)
		return selects && err == nil
	}
	v.mu.Lock()
	verdict, ok := v.known[s.program]
	v.mu.Unlock()
	if ok {
		return verdict
	}
	verdict = (*Verdicts)(nil).Selects(s, cluster)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil || len(v.known) >= maxVerdicts {
		v.known = map[cel.Program]bool{}
	}
	v.known[s.program] = verdict
	return verdict
}
