// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzzer

import (
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"fleet.dev/fleet/pkg/apis/policy"
	policyfuzzer "fleet.dev/fleet/pkg/apis/policy/fuzzer"
	"fleet.dev/fleet/pkg/apis/work"
)

// Funcs returns the fuzzer functions of the group, and those of policy.fleet.dev,
// whose types bindings hold.
func Funcs(codecs serializer.CodecFactory) []any {
	return append(policyfuzzer.Funcs(codecs),
		func(spec *work.BindingSpec, c randfill.Continue) {
			c.FillNoCustom(spec)
			if spec.SchedulerName == "" {
				spec.SchedulerName = "default-scheduler"
			}
			if spec.ConflictResolution == "" {
				spec.ConflictResolution = policy.ConflictIfNoDiff
			}
		},
		func(item *work.FeedbackItem, c randfill.Continue) {
			c.FillNoCustom(item)
			if item.Health == "" {
				item.Health = work.ResourceUnknown
			}
		},
	)
}
