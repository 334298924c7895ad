// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func pod(name string) *corev1.Pod {
	hourAgo := metav1.NewTime(time.Now().Add(-time.Hour))
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "3", CreationTimestamp: hourAgo}}
}

func TestConvertToTable(t *testing.T) {
	columns := []Column{{Name: "Phase"}, {Name: "Restarts", Type: "integer"}, {Name: "Node", Wide: true}}
	convertor := New(columns, func(p *corev1.Pod) []any { return []any{"Running", int64(2), p.Name + "-node"} })
	remaining := int64(5)
	tests := map[string]struct {
		reason  string
		object  runtime.Object
		options runtime.Object
		want    metav1.Table
	}{
		"List": {
			reason: "pages need the version and the token of the list",
			object: &corev1.PodList{
				ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "more", RemainingItemCount: &remaining},
				Items:    []corev1.Pod{*pod("a"), *pod("b")},
			},
			want: metav1.Table{
				ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "more", RemainingItemCount: &remaining},
				Rows:     []metav1.TableRow{{Cells: []any{"a", "Running", int64(2), "60m", "a-node"}}, {Cells: []any{"b", "Running", int64(2), "60m", "b-node"}}},
			},
		},
		"One": {
			reason: "a watch prints one object after the other",
			object: pod("a"),
			want: metav1.Table{
				ListMeta: metav1.ListMeta{ResourceVersion: "3"},
				Rows:     []metav1.TableRow{{Cells: []any{"a", "Running", int64(2), "60m", "a-node"}}},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := convertor.ConvertToTable(t.Context(), tc.object, &metav1.TableOptions{NoHeaders: true})
			if err != nil {
				t.Fatal(err)
			}
			for i := range got.Rows {
				got.Rows[i].Object = runtime.RawExtension{}
			}
			if diff := cmp.Diff(tc.want, *got); diff != "" {
				t.Errorf("%s: ConvertToTable, -want +got:\n%s", tc.reason, diff)
			}
		})
	}

	t.Run("Headers", func(t *testing.T) {
		got, err := convertor.ConvertToTable(t.Context(), pod("a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		var headers []string
		for _, definition := range got.ColumnDefinitions {
			header := definition.Name + " " + definition.Type
			if definition.Priority > 0 {
				header += " wide"
			}
			headers = append(headers, header)
		}
		want := []string{"Name string", "Phase string", "Restarts integer", "Age string", "Node string wide"}
		if diff := cmp.Diff(want, headers); diff != "" {
			t.Errorf("the age comes before the wide columns, -want +got:\n%s", diff)
		}
	})

	t.Run("AnotherKind", func(t *testing.T) {
		if _, err := convertor.ConvertToTable(t.Context(), &corev1.ConfigMap{}, nil); err == nil || !strings.Contains(err.Error(), "no columns for *v1.ConfigMap") {
			t.Errorf("want an error that names the type, got %v", err)
		}
	})
}

func TestList(t *testing.T) {
	tests := map[string]struct {
		texts []string
		want  string
	}{
		"Empty": {want: "<none>"},
		"Three": {texts: []string{"a", "b", "c"}, want: "a,b,c"},
		"Four":  {texts: []string{"a", "b", "c", "d"}, want: "a,b,c,+1 more"},
		"Many":  {texts: strings.Split(strings.Repeat("x", 100), ""), want: "x,x,x,+97 more"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := List(tc.texts); got != tc.want {
				t.Errorf("List: want %q, got %q", tc.want, got)
			}
		})
	}
}
