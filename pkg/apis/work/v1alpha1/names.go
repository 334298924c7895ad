// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"fmt"
	"hash/fnv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxBindingNameLength keeps a binding name usable as a label value.
const maxBindingNameLength = 63

// BindingName returns the name of the binding of a template: <name>-<kind> in
// lower case. Where that is longer than 63 characters, has characters an object
// name may not have, or would be the same for two templates whose names differ
// in case, it is shortened and ends in a hash of kind and name.
func BindingName(kind, name string) string {
	plain := strings.ToLower(name + "-" + kind)
	if len(plain) <= maxBindingNameLength && strings.ToLower(name) == name && len(validation.IsDNS1123Subdomain(plain)) == 0 {
		return plain
	}
	return hashed(plain, kind+"/"+name)
}

// BindingNameForGroupKind is BindingName with the group in the hash when the
// group is not one of Kubernetes, so that a kind of a CRD that is named like a
// native one (Service) has a binding of its own.
func BindingNameForGroupKind(kind schema.GroupKind, name string) string {
	if isKubernetesGroup(kind.Group) {
		return BindingName(kind.Kind, name)
	}
	return hashed(strings.ToLower(name+"-"+kind.Kind), kind.String()+"/"+name)
}

// WorkName returns the name of the works of a binding, the same in every
// member's namespace: the binding's name and a hash of its namespace and name.
func WorkName(bindingNamespace, bindingName string) string {
	hash := fnv.New64a()
	hash.Write([]byte(bindingNamespace + "/" + bindingName)) // a hash never fails to write
	return fmt.Sprintf("%s-%016x", bindingName, hash.Sum64())
}

// isKubernetesGroup tells groups of Kubernetes, which have no dot (apps) or end
// in .k8s.io, from those of others.
func isKubernetesGroup(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

func hashed(plain, identity string) string {
	suffix := fmt.Sprintf("-%08x", fnv32a(identity))
	prefix := strings.Map(nameCharacter, plain)
	if limit := maxBindingNameLength - len(suffix); len(prefix) > limit {
		prefix = prefix[:limit]
	}
	prefix = strings.Trim(prefix, "-")
	if prefix == "" {
		return "binding" + suffix
	}
	return prefix + suffix
}

func nameCharacter(r rune) rune {
	if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
		return r
	}
	return '-'
}

func fnv32a(text string) uint32 {
	hash := fnv.New32a()
	hash.Write([]byte(text)) // a hash never fails to write
	return hash.Sum32()
}
