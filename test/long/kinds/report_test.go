// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Words for what became of a step.
const (
	yes   = "yes"
	no    = "no"
	none  = "none"
	stays = "stays"
	// unserved is a kind that the member does not serve.
	unserved = "not served"
	// own is a status that the fleet's own controllers write, or those of nobody.
	own = "its own"
	// answered is a kind of which nothing is stored, refused one that only the fleet
	// itself makes.
	answered = "answered"
	refused  = "refused"
)

// steps are what is done in members.
var steps = []string{"create", "update", "delete"}

// result is what became of an object.
type result struct {
	// Fleet is empty, or why the fleet has no object.
	Fleet string
	// Members has what became of each step in each member.
	Members map[string]map[string]string
	// Status says whether the fleet shows what members report.
	Status string
}

func (r *result) set(member, step, word string) {
	if r.Members == nil {
		r.Members = map[string]map[string]string{}
	}
	if r.Members[member] == nil {
		r.Members[member] = map[string]string{}
	}
	r.Members[member][step] = word
}

// expected is what is to become of an object: the rule, or what the table of
// exceptions says.
func (r *row) expected() result {
	out := result{Status: none}
	if r.shows() != nil {
		out.Status = yes
	}
	x, ok := exceptions[r.key()]
	if ok {
		out.Fleet = x.fleet
		if x.status != "" {
			out.Status = x.status
		}
	}
	for _, member := range []string{old, current} {
		for _, step := range steps {
			word := yes
			switch {
			case x.fleet != "":
				word = x.fleet
			case x.members[member] != "" && (step != "delete" || !strings.HasPrefix(x.members[member], yes)):
				word = x.members[member]
			case x.both != "":
				word = x.both
			}
			out.set(member, step, word)
		}
	}
	return out
}

// checkExceptions fails the test when an exception is about no kind of the corpus, or
// says nothing that differs from the rule.
func checkExceptions(t *testing.T, rows []*row) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(exceptions)) {
		x := exceptions[key]
		if x.why == "" || x.fleet == "" && x.both == "" && len(x.members) == 0 && x.status == "" {
			t.Errorf("the exception of %s does not say what is different and why", key)
		}
		if !slices.ContainsFunc(rows, func(r *row) bool { return r.key() == key }) {
			t.Errorf("there is an exception of %s, which the corpus does not have", key)
		}
	}
}

// render writes the document.
func render(members map[string]*cluster, rows []*row) string {
	var out strings.Builder
	fmt.Fprintf(&out, head, members[old].version, members[current].version)
	var reasons []string
	table := func(rows []*row, first string) {
		fmt.Fprintf(&out, "\n| %s | created in %[2]s | in %[3]s | updated in %[2]s | in %[3]s | status in the fleet | deleted in %[2]s | in %[3]s | |\n|---|---|---|---|---|---|---|---|---|\n",
			first, minor(members[old].version), minor(members[current].version))
		for _, r := range rows {
			cells := []string{r.title()}
			for _, step := range steps {
				if step == "delete" {
					cells = append(cells, symbol(r.Result.Status))
				}
				for _, member := range []string{old, current} {
					word := r.Result.Members[member][step]
					if step != "create" && word == r.Result.Members[member]["create"] && !strings.HasPrefix(word, yes) {
						word = none
					}
					cells = append(cells, symbol(word))
				}
			}
			note := ""
			if x, ok := exceptions[r.key()]; ok {
				at := slices.Index(reasons, x.why)
				if at < 0 {
					reasons = append(reasons, x.why)
					at = len(reasons) - 1
				}
				note = fmt.Sprintf("%d", at+1)
			}
			fmt.Fprintf(&out, "| %s | %s |\n", strings.Join(cells, " | "), note)
		}
	}
	native := slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.definition != nil })
	others := slices.DeleteFunc(slices.Clone(rows), func(r *row) bool { return r.definition == nil })
	fmt.Fprintf(&out, "\n## Kinds of the fleet\n\n%d kinds, all that can be created.\n", len(native))
	table(native, "kind")
	fmt.Fprintf(&out, "\n## Kinds of operators\n\n%d kinds. Each CustomResourceDefinition is made while the fleet runs, and reaches the members by itself.\n", len(others))
	table(others, "kind")
	out.WriteString("\n## Why not\n\n")
	for i, reason := range reasons {
		fmt.Fprintf(&out, "%d. %s\n", i+1, reason)
	}
	return out.String()
}

const head = `# Kinds

Every kind can be propagated that is not about the fleet itself. This table is written by ` + "`test/long/kinds`" + `, which creates an object
of each in the fleet, changes it, has each of two members report a status, and deletes it, and looks into both members after each step; one runs
Kubernetes %s, the other %s. The policy names every kind and both members; PersistentVolumes, webhook configurations and HorizontalPodAutoscalers go nowhere without
a policy that names them. ✓ means that the member had all that the template said.
Numbers refer to the reasons [below](#why-not). After the last change no request to write reaches a member.
`

// title names the kind and its API.
func (r *row) title() string {
	if r.operator != "" {
		return fmt.Sprintf("%s: %s `%s`", r.operator, r.kind().Kind, r.kind().GroupVersion())
	}
	return fmt.Sprintf("%s `%s`", r.kind().Kind, r.kind().GroupVersion())
}

func symbol(word string) string {
	switch {
	case strings.HasPrefix(word, yes):
		return "✓" + strings.TrimPrefix(word, yes)
	case word == none || word == "":
		return "–"
	default:
		return word
	}
}

// minor is "1.31" of "v1.31.0".
func minor(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
