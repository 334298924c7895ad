// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import "testing"

// TestAPIServicePriorities has every group of the fleet be published like those of Kubernetes:
// one without a priority gets no APIService.
func TestAPIServicePriorities(t *testing.T) {
	priorities := apiServicePriorities(fleetGroupVersions())
	for _, gv := range fleetGroupVersions() {
		if _, ok := priorities[gv]; !ok {
			t.Errorf("%s has no priority", gv)
		}
	}
}
