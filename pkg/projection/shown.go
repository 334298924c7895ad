// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// NeedPods has Pods of members be followed and waits a little for those members that
// were not read yet.
func (p *Projections) NeedPods(ctx context.Context) {
	if pods := p.podSurface(); pods != nil {
		pods.need(ctx, nil)
	}
}

// ShownPod returns what the fleet shows of a Pod of a member, which must not be changed.
// Of a bare Pod, which the member has from the fleet, that is the one stored here.
func (p *Projections) ShownPod(member string, pod types.NamespacedName, bare bool) (metav1.Object, bool) {
	pods := p.podSurface()
	if pods == nil {
		return nil, false
	}
	if bare {
		member = ""
	}
	shown := pods.union.shownAs(member, pod.String())
	if shown == nil {
		return nil, false
	}
	object, err := meta.Accessor(shown.Object)
	return object, err == nil
}

// podSurface is the surface of Pods, nil if they are not projected.
func (p *Projections) podSurface() *surface {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.surfaces {
		if s.kind.Resource == corev1.SchemeGroupVersion.WithResource("pods") {
			return s
		}
	}
	return nil
}
