// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"

	"fleet.dev/fleet/pkg/apis/work"
)

// columns prints works: NAME, KIND, TEMPLATE, DELETED, AGE.
type columns struct{}

var definitions = []metav1.TableColumnDefinition{
	{Name: "Name", Type: "string", Format: "name", Description: "Name of the work."},
	{Name: "Kind", Type: "string", Description: "Kind of the object in the member."},
	{Name: "Template", Type: "string", Description: "Template the work is rendered from, namespace/name."},
	{Name: "Delete", Type: "string", Description: "Whether the work says to delete or release the object in the member."},
	{Name: "Age", Type: "string", Description: "Time since the binding was made."},
	{Name: "Hash", Type: "string", Priority: 1, Description: "Hash of the manifest."},
}

// ConvertToTable implements rest.TableConvertor.
func (columns) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		table.ColumnDefinitions = definitions
	}
	switch object := object.(type) {
	case *work.WorkList:
		table.ResourceVersion, table.Continue = object.ResourceVersion, object.Continue
		table.RemainingItemCount = object.RemainingItemCount
		for i := range object.Items {
			table.Rows = append(table.Rows, row(&object.Items[i]))
		}
	case *work.Work:
		table.ResourceVersion = object.ResourceVersion
		table.Rows = append(table.Rows, row(object))
	default:
		return nil, fmt.Errorf("print %T as a work", object)
	}
	return table, nil
}

func row(w *work.Work) metav1.TableRow {
	template := w.Spec.Template.Name
	if w.Spec.Template.Namespace != "" {
		template = w.Spec.Template.Namespace + "/" + template
	}
	deleted := "No"
	switch {
	case w.Spec.Deleted && w.Spec.Orphan:
		deleted = "Release"
	case w.Spec.Deleted:
		deleted = "Yes"
	}
	age := "<unknown>"
	if !w.CreationTimestamp.IsZero() {
		age = duration.HumanDuration(metav1.Now().Sub(w.CreationTimestamp.Time))
	}
	return metav1.TableRow{
		Cells:  []any{w.Name, w.Spec.Template.Kind, template, deleted, age, w.Spec.ContentHash},
		Object: runtime.RawExtension{Object: w},
	}
}
