// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/conversion"

	"fleet.dev/fleet/pkg/apis/policy"
)

// The two functions below are what the generator would write. They are written
// by hand because work.fleet.dev holds Overriders by value, and the generator
// uses a conversion of another group only if it is there before it runs.

// Convert_v1alpha1_Overriders_To_policy_Overriders converts to the internal
// version.
func Convert_v1alpha1_Overriders_To_policy_Overriders(in *Overriders, out *policy.Overriders, s conversion.Scope) error {
	return autoConvert_v1alpha1_Overriders_To_policy_Overriders(in, out, s)
}

// Convert_policy_Overriders_To_v1alpha1_Overriders converts from the internal
// version.
func Convert_policy_Overriders_To_v1alpha1_Overriders(in *policy.Overriders, out *Overriders, s conversion.Scope) error {
	return autoConvert_policy_Overriders_To_v1alpha1_Overriders(in, out, s)
}
