// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
)

// Field labels of a Cluster beside metadata.name.
const (
	// ClusterFieldSyncMode selects by spec.syncMode.
	ClusterFieldSyncMode = "spec.syncMode"
)

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	return scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind("Cluster"), clusterFieldLabel)
}

func clusterFieldLabel(label, value string) (string, string, error) {
	switch label {
	case "metadata.name", ClusterFieldSyncMode:
		return label, value, nil
	default:
		return "", "", fmt.Errorf("field label %q is not supported for Cluster", label)
	}
}
