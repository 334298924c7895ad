// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metatable "k8s.io/apimachinery/pkg/api/meta/table"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

// What a cell shows when there is nothing to show.
const (
	// None is for what is not set.
	None = "<none>"
	// Unknown is for what nobody has reported.
	Unknown = "<unknown>"
)

// listed is how many entries of a list a cell shows.
const listed = 3

// List is a cell for a list that may be long: its first entries and how many
// more there are.
func List(texts []string) string {
	switch rest := len(texts) - listed; {
	case len(texts) == 0:
		return None
	case rest > 0:
		return fmt.Sprintf("%s,+%d more", strings.Join(texts[:listed], ","), rest)
	default:
		return strings.Join(texts, ",")
	}
}

// Text is a cell for a string that may be empty.
func Text(text string) string {
	if text == "" {
		return None
	}
	return text
}

// Column is a column beside name and age.
type Column struct {
	// Name is the header.
	Name string
	// Type is an OpenAPI type, string if empty.
	Type string
	// Description explains the column.
	Description string
	// Wide shows the column with -o wide only. Wide columns come last.
	Wide bool
}

type convertor[T any] struct {
	definitions []metav1.TableColumnDefinition
	ageAt       int
	cells       func(T) []any
}

// New returns a TableConvertor for objects of type T and lists of them. cells
// returns one value per column, in their order.
func New[T any](columns []Column, cells func(T) []any) rest.TableConvertor {
	age := metav1.TableColumnDefinition{Name: "Age", Type: "string", Description: "Time since the object was created."}
	ageAt := slices.IndexFunc(columns, func(column Column) bool { return column.Wide })
	if ageAt < 0 {
		ageAt = len(columns)
	}
	definitions := []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name", Description: "Name of the object."}}
	for _, column := range columns {
		definitions = append(definitions, definition(column))
	}
	return &convertor[T]{definitions: slices.Insert(definitions, 1+ageAt, age), ageAt: ageAt, cells: cells}
}

func definition(column Column) metav1.TableColumnDefinition {
	made := metav1.TableColumnDefinition{Name: column.Name, Type: column.Type, Description: column.Description}
	if made.Type == "" {
		made.Type = "string"
	}
	if column.Wide {
		made.Priority = 1
	}
	return made
}

// ConvertToTable implements rest.TableConvertor.
func (c *convertor[T]) ConvertToTable(_ context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if list, err := meta.ListAccessor(obj); err == nil {
		table.ResourceVersion = list.GetResourceVersion()
		table.Continue = list.GetContinue()
		table.RemainingItemCount = list.GetRemainingItemCount()
	} else if common, err := meta.CommonAccessor(obj); err == nil {
		table.ResourceVersion = common.GetResourceVersion()
	}
	if opt, ok := options.(*metav1.TableOptions); !ok || !opt.NoHeaders {
		table.ColumnDefinitions = c.definitions
	}
	rows, err := metatable.MetaToTableRow(obj, c.row)
	if err != nil {
		return nil, fmt.Errorf("print %T: %w", obj, err)
	}
	table.Rows = rows
	return table, nil
}

func (c *convertor[T]) row(obj runtime.Object, _ metav1.Object, name, age string) ([]any, error) {
	typed, ok := obj.(T)
	if !ok {
		return nil, fmt.Errorf("no columns for %T", obj)
	}
	return append([]any{name}, slices.Insert(c.cells(typed), c.ageAt, any(age))...), nil
}
