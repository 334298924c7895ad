// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzzer

import (
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"fleet.dev/fleet/pkg/apis/cluster"
)

// Funcs returns the fuzzer functions of the group.
func Funcs(_ serializer.CodecFactory) []any {
	return []any{
		func(spec *cluster.ClusterSpec, c randfill.Continue) {
			c.FillNoCustom(spec)
			if spec.Zone != "" && len(spec.Zones) == 0 {
				spec.Zones = []string{spec.Zone}
			}
		},
	}
}
