package table

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestTable(t *testing.T) {
	c := New([]Column{{Name: "A"}, {Name: "W", Wide: true}}, func(p *corev1.Pod) []any { return []any{"a", "w"} })
	got, err := c.ConvertToTable(t.Context(), &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7"}, Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, {ObjectMeta: metav1.ObjectMeta{Name: "y"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got.ColumnDefinitions {
		fmt.Print(d.Name, d.Priority, " ")
	}
	fmt.Println(got.ResourceVersion, got.Rows[0].Cells, got.Rows[1].Cells)
}
