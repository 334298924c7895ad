// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package tabletest

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
)

var update = flag.Bool("update", false, "write the golden files")

// Golden prints the objects, wide, as kubectl would, and compares that with the
// file. Objects without a creation time have the age <unknown>, which keeps the
// file the same tomorrow.
func Golden(t *testing.T, convertor rest.TableConvertor, file string, objects ...runtime.Object) {
	t.Helper()
	var text strings.Builder
	writer := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	for i, object := range objects {
		table, err := convertor.ConvertToTable(t.Context(), object, &metav1.TableOptions{NoHeaders: i > 0})
		if err != nil {
			t.Fatal(err)
		}
		write(writer, table)
	}
	if err := writer.Flush(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (go test -update writes it): %v", err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("table differs from %s (go test -update writes it), -want +got:\n%s", path, diff)
	}
}

func write(out io.Writer, table *metav1.Table) {
	line := func(cells []string) { fmt.Fprintln(out, strings.Join(cells, "\t")) }
	var headers []string
	for _, column := range table.ColumnDefinitions {
		headers = append(headers, strings.ToUpper(column.Name))
	}
	if len(headers) > 0 {
		line(headers)
	}
	for _, row := range table.Rows {
		var cells []string
		for _, cell := range row.Cells {
			cells = append(cells, fmt.Sprint(cell))
		}
		line(cells)
	}
}
