// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"slices"
	"strings"
)

const head = `# Health

What programs that wait, or judge health, say of objects in the fleet. They know nothing of a fleet. ` + "`test/long/health`" + ` writes this table: it brings an object of each
kind into each situation, in a fleet of two members with one node each and in a plain cluster with two nodes, and asks every program about both. Where a cell has one
answer both said the same; otherwise it is the fleet's, then the plain cluster's, and a number tells [why](#differences).

*done*, *waiting* and *failed* are what a program that waits does; *met* or *not met*, in this order, the conditions named. kstatus is ` + "`sigs.k8s.io/cli-utils`" + `, Argo CD's health
that of its gitops-engine. – means that the program has nothing to say of the kind.
`

// render writes the document.
func render(m *matrix) string {
	var out strings.Builder
	out.WriteString(head)
	out.WriteString("\n## Situations\n\n| situation | in the fleet | in the plain cluster |\n|---|---|---|\n")
	for _, s := range m.Situations {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", s.Name, s.Fleet, s.Plain)
	}
	var reasons []string
	for _, subject := range m.Subjects {
		fmt.Fprintf(&out, "\n## %s\n\n", subject.Kind)
		if len(subject.Wait) > 0 {
			fmt.Fprintf(&out, "`kubectl wait` for `%s`.\n\n", strings.Join(subject.Wait, "`, `"))
		}
		fmt.Fprintf(&out, "| situation | %s |\n|---%s|\n", strings.Join(waiters, " | "), strings.Repeat("|---", len(waiters)))
		for _, c := range m.cells {
			if c.subject != subject {
				continue
			}
			columns := []string{c.situation.Name}
			for _, waiter := range waiters {
				columns = append(columns, c.show(waiter, &reasons))
			}
			fmt.Fprintf(&out, "| %s |\n", strings.Join(columns, " | "))
		}
	}
	out.WriteString("\n## Differences\n\n")
	if len(reasons) == 0 {
		out.WriteString("None.\n")
	}
	for i, reason := range reasons {
		fmt.Fprintf(&out, "%d. %s\n", i+1, reason)
	}
	return out.String()
}

// show is what the document has in a cell.
func (c *cell) show(waiter string, reasons *[]string) string {
	fleet, plain := c.fleet.said[waiter], c.plain.said[waiter]
	if fleet == plain {
		return fleet
	}
	at := slices.Index(*reasons, c.change.Why)
	if at < 0 {
		*reasons = append(*reasons, c.change.Why)
		at = len(*reasons) - 1
	}
	return fmt.Sprintf("%s / %s (%d)", fleet, plain, at+1)
}
