// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/mutation/dynamic"
)

// Struct is a type of which expressions make values: Name{field: value}. A field it has
// not, or a value of another type, is found by the compiler.
type Struct struct {
	// Name of it.
	Name string
	// Fields it has, none of which has to be given.
	Fields map[string]*cel.Type
}

var _ common.ResolvedType = &Struct{}

// Structs is the option of an environment whose expressions make such values.
func Structs(list ...*Struct) cel.EnvOption {
	byName := structs{}
	for _, one := range list {
		byName[one.Name] = one
	}
	return common.ResolverEnvOption(byName)
}

type structs map[string]*Struct

// Resolve implements common.TypeResolver.
func (s structs) Resolve(name string) (common.ResolvedType, bool) {
	found, ok := s[name]
	return found, ok
}

// Type implements common.ResolvedType.
func (s *Struct) Type() *types.Type { return types.NewObjectType(s.Name) }

// TypeName implements ref.Type.
func (s *Struct) TypeName() string { return s.Name }

// HasTrait implements ref.Type.
func (s *Struct) HasTrait(trait int) bool { return s.Type().HasTrait(trait) }

// FieldNames implements common.ResolvedType.
func (s *Struct) FieldNames() ([]string, bool) {
	return slices.Sorted(maps.Keys(s.Fields)), true
}

// Field implements common.ResolvedType. Expressions make values and do not read them.
func (s *Struct) Field(name string) (*types.FieldType, bool) {
	declared, ok := s.Fields[name]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:    declared,
		IsSet:   func(any) bool { return false },
		GetFrom: func(any) (any, error) { return nil, fmt.Errorf("read %s.%s: it can only be set", s.Name, name) },
	}, true
}

// Val implements common.ResolvedType.
func (s *Struct) Val(fields map[string]ref.Val) ref.Val {
	return dynamic.NewObjectVal(s.Type(), fields)
}

// of makes a value of JSON.
func (s *Struct) of(fields map[string]any) ref.Val {
	values := make(map[string]ref.Val, len(fields))
	for name, field := range fields {
		values[name] = types.DefaultTypeAdapter.NativeToValue(field)
	}
	return s.Val(values)
}
