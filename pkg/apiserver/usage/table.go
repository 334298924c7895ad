// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/metrics/pkg/apis/metrics"
)

// row is what a table shows of one object: what metrics-server shows.
type row struct {
	object runtime.Object
	name   string
	usage  corev1.ResourceList
	window metav1.Duration
}

// tableOf has a column for each resource of the first row.
func tableOf(rows []row, list metav1.ListMeta) *metav1.Table {
	table := &metav1.Table{ListMeta: list}
	if len(rows) == 0 {
		return table
	}
	table.ColumnDefinitions = []metav1.TableColumnDefinition{{Name: "Name", Type: "string", Format: "name", Description: "Name of the resource"}}
	resources := slices.Sorted(maps.Keys(rows[0].usage))
	for _, resource := range resources {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: string(resource), Type: "string", Format: "quantity"})
	}
	table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: "Window", Type: "string", Format: "duration"})
	for _, r := range rows {
		cells := []any{r.name}
		for _, resource := range resources {
			amount := r.usage[resource]
			cells = append(cells, amount.String())
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: append(cells, r.window.Duration.String()), Object: runtime.RawExtension{Object: r.object}})
	}
	return table
}

// podUsage adds up the containers of a Pod.
func podUsage(measured *metrics.PodMetrics) corev1.ResourceList {
	total := corev1.ResourceList{}
	for i := range measured.Containers {
		for name, amount := range measured.Containers[i].Usage {
			sum := total[name]
			sum.Add(amount)
			total[name] = sum
		}
	}
	return total
}
