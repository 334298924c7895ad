// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/utils/third_party/forked/golang/btree"
)

// Collect returns the entries whose keys are not before from and under the prefix,
// or the one entry that has it as its key.
func Collect[T runtime.Object](objects *btree.BTree[*Entry[T]], from, prefix string, recursive bool) []*Entry[T] {
	if !recursive {
		if found, ok := objects.Get(&Entry[T]{Key: prefix}); ok {
			return []*Entry[T]{found}
		}
		return nil
	}
	var found []*Entry[T]
	objects.AscendGreaterOrEqual(&Entry[T]{Key: from}, func(e *Entry[T]) bool {
		if !strings.HasPrefix(e.Key, prefix) {
			return false
		}
		found = append(found, e)
		return true
	})
	return found
}

// AppendMatching appends objects to a list until its limit. It returns the key of
// the last object looked at and whether there are more after it.
func AppendMatching[T runtime.Object](list runtime.Object, found []*Entry[T], predicate storage.SelectionPredicate) (string, bool, error) {
	items, err := meta.GetItemsPtr(list)
	if err != nil {
		return "", false, fmt.Errorf("append to list: %w", err)
	}
	slice, err := conversion.EnforcePtr(items)
	if err != nil || slice.Kind() != reflect.Slice {
		return "", false, fmt.Errorf("append to list: items of %T are no slice: %w", list, err)
	}
	selected := make([]*Entry[T], 0, len(found))
	last, more := "", false
	for i, e := range found {
		if matched, err := predicate.Matches(e.Object); err == nil && matched {
			selected = append(selected, e)
		}
		last = e.Key
		if predicate.Limit > 0 && int64(len(selected)) >= predicate.Limit {
			more = i < len(found)-1
			break
		}
	}
	slice.Set(reflect.MakeSlice(slice.Type(), len(selected), len(selected)))
	for i, e := range selected {
		slice.Index(i).Set(reflect.ValueOf(e.Object).Elem())
	}
	return last, more, nil
}
