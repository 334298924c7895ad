// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:openapi-gen=true
// +k8s:deepcopy-gen=package
// +k8s:openapi-model-package=dev.fleet.fleet.pkg.apis.rawjson

// Package rawjson holds one type, Value: any JSON value, kept as the bytes it
// came in. It is what a field of an API type is when a user may write a string,
// a number, a list or an object there. The internal and the versioned API types
// share it, so that it needs no conversion.
package rawjson
