// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package fuzzer

import (
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

// Funcs returns the fuzzer functions of the group; it has no defaults to heed.
func Funcs(_ serializer.CodecFactory) []any { return nil }
