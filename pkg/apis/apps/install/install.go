// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"fleet.dev/fleet/pkg/apis/apps"
	"fleet.dev/fleet/pkg/apis/apps/v1alpha1"
)

// Install registers the group in the scheme. It panics when the scheme holds
// other types under the same names, which is a mistake of the program.
func Install(scheme *runtime.Scheme) {
	utilruntime.Must(apps.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	utilruntime.Must(scheme.SetVersionPriority(v1alpha1.SchemeGroupVersion))
}
