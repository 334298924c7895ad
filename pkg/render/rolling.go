// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// rollingUpdates says where the bounds of a rolling update of a native workload are.
// Those of a DaemonSet are about the nodes of each member.
var rollingUpdates = map[schema.GroupKind][]string{
	{Group: "apps", Kind: "Deployment"}:  {"spec", "strategy", "rollingUpdate"},
	{Group: "apps", Kind: "StatefulSet"}: {"spec", "updateStrategy", "rollingUpdate"},
}

// rolling are a member's shares of the bounds of a rolling update that are numbers.
// Those that are percentages mean the same in a member as in the fleet, and stay.
type rolling struct {
	surge, unavailable       int64
	setSurge, setUnavailable bool
}

// rollingFor divides the bounds of a rolling update: three that may be missing are
// three in all members together, not in each. What goes on at all goes on
// everywhere: where both shares are nothing, one replica at a time is still replaced,
// by one more if the template allows more, which leaves as many available.
func rollingFor(template *Template, span span) rolling {
	bounds := mapAt(template.object, rollingUpdates[template.kind]...)
	if rollingUpdates[template.kind] == nil || bounds == nil {
		return rolling{}
	}
	surge, setSurge := bounds["maxSurge"].(int64)
	unavailable, setUnavailable := bounds["maxUnavailable"].(int64)
	share := rolling{surge: span.of(surge), unavailable: span.of(unavailable), setSurge: setSurge, setUnavailable: setUnavailable}
	switch {
	case share.surge > 0 || share.unavailable > 0 || isPart(bounds["maxSurge"]) || isPart(bounds["maxUnavailable"]):
	case surge > 0:
		share.surge = 1
	case unavailable > 0:
		share.unavailable = 1
	}
	return share
}

// isPart says whether a bound is a percentage above 0.
func isPart(bound any) bool {
	percentage, ok := bound.(string)
	return ok && strings.Trim(percentage, "0") != "%"
}

// set writes the shares into the object of a member whose first replica is number
// start of all. A StatefulSet's partition is counted from there.
func (r rolling) set(object map[string]any, kind schema.GroupKind, start int64) {
	bounds := mapAt(object, rollingUpdates[kind]...)
	if rollingUpdates[kind] == nil || bounds == nil {
		return
	}
	if r.setSurge {
		bounds["maxSurge"] = r.surge
	}
	if r.setUnavailable {
		bounds["maxUnavailable"] = r.unavailable
	}
	if partition, ok := bounds["partition"].(int64); ok {
		bounds["partition"] = max(partition-start, 0)
	}
}
