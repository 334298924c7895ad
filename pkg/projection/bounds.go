// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"
)

// What one member says is read by everybody in the fleet, together with what others say,
// and some readers add it up. No API server stores an object that is too large, or has
// such a name, so what is refused here is no loss.

// maxSize is how many bytes an object may have: as many as API servers take in a request.
const maxSize = 3 << 20

// refusal is why an object of a member is not shown.
type refusal struct {
	reason string // for the metric
	text   string
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

// refuse says why an object is not to be shown, nil when it may be.
func (k *Kind) refuse(object runtime.Object, accessor metav1.Object) error {
	if sized, ok := object.(interface{ Size() int }); ok {
		if size := sized.Size(); size > maxSize {
			return &refusal{"TooLarge", fmt.Sprintf("it has %d bytes, more than the %d that are shown", size, maxSize)}
		}
	}
	if wrong := validation.IsDNS1123Subdomain(accessor.GetName()); len(wrong) > 0 {
		return &refusal{"Name", "its name is none: " + wrong[0]}
	}
	namespace := accessor.GetNamespace()
	if k.Namespaced {
		if wrong := validation.IsDNS1123Label(namespace); len(wrong) > 0 {
			return &refusal{"Namespace", "its namespace is none: " + wrong[0]}
		}
	} else if namespace != "" {
		return &refusal{"Namespace", "it has a namespace"}
	}
	return nil
}

// note counts and logs a refusal. It returns other errors.
func (c *client) note(ctx context.Context, key string, err error) error {
	refused := &refusal{}
	if !errors.As(err, &refused) {
		return err
	}
	resource := c.kind.Resource.Resource
	refusedObjects.WithLabelValues(resource, refused.reason).Inc()
	klog.FromContext(ctx).V(2).Info("Object of a member is not shown", "cluster", c.member, "resource", resource, "key", fmt.Sprintf("%.256q", key), "reason", refused.text)
	return nil
}

var quantityType = reflect.TypeFor[resource.Quantity]()

// quantitied are the fields of structs in which there are quantities.
var quantitied sync.Map // []int by reflect.Type

func quantityFields(of reflect.Type) []int {
	known, ok := quantitied.Load(of)
	if !ok {
		var fields []int
		for i := range of.NumField() {
			if field := of.Field(i); field.IsExported() && findQuantities(field.Type, map[reflect.Type]bool{}) {
				fields = append(fields, i)
			}
		}
		known, _ = quantitied.LoadOrStore(of, fields)
	}
	fields, _ := known.([]int)
	return fields
}

// findQuantities looks into a type, except for types it is within.
func findQuantities(t reflect.Type, within map[reflect.Type]bool) bool {
	if t == quantityType {
		return true
	}
	if within[t] {
		return false
	}
	within[t] = true
	defer delete(within, t)
	switch t.Kind() { //nolint:exhaustive // others hold nothing
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return findQuantities(t.Elem(), within)
	case reflect.Struct:
		for field := range t.Fields() {
			if field.IsExported() && findQuantities(field.Type, within) {
				return true
			}
		}
	}
	return false
}

// capQuantities makes the quantities in a value that can be set ones to count with.
// Numbers like 1e1000000000 are added up with all their digits, which takes hours.
func capQuantities(value reflect.Value) {
	if value.Type() == quantityType {
		value.Set(reflect.ValueOf(capped(value.Interface().(resource.Quantity))))
		return
	}
	switch value.Kind() { //nolint:exhaustive // others hold nothing
	case reflect.Pointer:
		if !value.IsNil() {
			capQuantities(value.Elem())
		}
	case reflect.Slice, reflect.Array:
		for i := range value.Len() {
			capQuantities(value.Index(i))
		}
	case reflect.Struct:
		for _, i := range quantityFields(value.Type()) {
			capQuantities(value.Field(i))
		}
	case reflect.Map:
		capValues(value)
	}
}

func capValues(of reflect.Value) {
	for _, key := range of.MapKeys() {
		value := reflect.New(of.Type().Elem()).Elem()
		value.Set(of.MapIndex(key))
		capQuantities(value)
		of.SetMapIndex(key, value)
	}
}

// capped is a quantity of at most what upstream caps those with binary suffixes at.
func capped(quantity resource.Quantity) resource.Quantity {
	switch value := quantity.AsApproximateFloat64(); {
	case math.IsNaN(value): // nothing, with an exponent
		return resource.Quantity{Format: quantity.Format}
	case value > math.MaxInt64:
		return *resource.NewQuantity(math.MaxInt64, quantity.Format)
	case value < math.MinInt64:
		return *resource.NewQuantity(math.MinInt64, quantity.Format)
	default:
		return quantity
	}
}
