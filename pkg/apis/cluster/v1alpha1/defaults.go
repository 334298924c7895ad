// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "k8s.io/apimachinery/pkg/runtime"

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_ClusterSpec copies the deprecated zone to zones when zones is
// empty.
func SetDefaults_ClusterSpec(spec *ClusterSpec) {
	if spec.Zone != "" && len(spec.Zones) == 0 {
		spec.Zones = []string{spec.Zone}
	}
}
