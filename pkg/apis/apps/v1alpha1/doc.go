// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:openapi-gen=true
// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=fleet.dev/fleet/pkg/apis/apps
// +k8s:defaulter-gen=TypeMeta
// +groupName=apps.fleet.dev
// +k8s:openapi-model-package=dev.fleet.fleet.pkg.apis.apps.v1alpha1

// Package v1alpha1 is the v1alpha1 version of the API group apps.fleet.dev: what
// users ask for beside their workloads. It is what users and clients see; the API
// server works on the internal version in the parent folder. It holds types,
// defaults and names, no logic.
package v1alpha1
