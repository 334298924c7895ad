// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package differences

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	update   = flag.Bool("update", false, "write docs/differences.md")
	only     = flag.String("stories", "", "run only these stories, separated by commas, and leave the document alone")
	patience = flag.Duration("patience", 90*time.Second, "how long both sides may take to say the same")
)

const (
	// commandTimeout bounds one run of a command.
	commandTimeout = 2 * time.Minute
	// pollInterval is the time between two looks.
	pollInterval = 300 * time.Millisecond
)

// TestDifferences runs the script.
func TestDifferences(t *testing.T) {
	s := newStage(t)
	report, err := os.Create(filepath.Join(s.dir, "report.txt"))
	if err != nil {
		t.Fatal(err)
	}
	r := &run{stage: s, seen: map[string][]string{}, report: report}
	for _, story := range script {
		if *only == "" || slices.Contains(strings.Split(*only, ","), story.name) {
			t.Run(story.name, func(t *testing.T) { r.tell(t, story) })
		}
	}
	if *only == "" || slices.Contains(strings.Split(*only, ","), "Rollout") {
		t.Run("Rollout", s.testRollout)
	}
	if err := report.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d commands, %d of them the same but for known differences, %d not", r.commands, r.explained, r.unexplained)
	if *only == "" {
		r.checkDocument(t)
	}
}

// run is one run of the script.
type run struct {
	*stage
	// seen are the commands at which a known difference was seen, by its title.
	seen map[string][]string
	// commands counts those that ran, the others those that differ.
	commands, explained, unexplained int
	// report is where all output goes.
	report *os.File
}

// tell runs a story on both sides.
func (r *run) tell(t *testing.T, story story) {
	t.Helper()
	namespace := strings.ToLower(story.name)
	both := func(line string) {
		for _, s := range r.sides {
			if out, err := s.run(t.Context(), line); err != nil || out.code != 0 {
				t.Fatalf("%s: %s: %v\n%s", s.name, line, err, out.text())
			}
		}
	}
	both("kubectl create namespace " + namespace + " && kubectl config set-context --current --namespace=" + namespace)
	for _, step := range story.steps {
		r.take(t, step)
	}
	both("kubectl delete namespace " + namespace + " --timeout=100s")
}

// take runs a step on both sides and compares.
func (r *run) take(t *testing.T, step step) {
	t.Helper()
	r.commands++
	deadline := time.Now().Add(*patience)
	for {
		pair, err := r.both(t.Context(), step)
		if err != nil {
			t.Fatalf("%s: %v", step.line, err)
		}
		explained, by := explain(step, pair)
		if same := explained[fleet] == explained[plain]; same || !step.again || time.Now().After(deadline) {
			r.record(t, step, pair, explained, by)
			return
		}
		select {
		case <-t.Context().Done():
			return
		case <-time.After(pollInterval):
		}
	}
}

// both runs a step on both sides at once.
func (r *run) both(ctx context.Context, step step) (pair, error) {
	var out pair
	var errs [2]error
	var group sync.WaitGroup
	for i, s := range r.sides {
		group.Go(func() {
			result, err := s.run(ctx, step.line)
			out[i], errs[i] = result.text(), err
		})
	}
	group.Wait()
	return out, errors.Join(errs[:]...)
}

// record notes how a step ended.
func (r *run) record(t *testing.T, step step, pair, explained pair, by []string) {
	t.Helper()
	r.printf("==== %s: %s\n-- fleet\n%s\n-- plain\n%s\n", t.Name(), step.line, pair[fleet], pair[plain])
	if diff := lineDiff(explained[plain], explained[fleet]); diff != "" {
		r.unexplained++
		r.printf("-- differs: -plain +fleet\n%s\n", diff)
		t.Errorf("%s: -plain +fleet:\n%s", step.line, diff)
		return
	}
	if len(by) > 0 {
		r.explained++
	}
	for _, title := range by {
		r.seen[title] = append(r.seen[title], step.line)
	}
}

// lineDiff compares line by line.
func lineDiff(want, got string) string {
	return cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n"))
}

// printf adds to the report. What is lost of it the test does without.
func (r *run) printf(format string, args ...any) { _, _ = fmt.Fprintf(r.report, format, args...) }

// checkDocument compares docs/differences.md with what was seen.
func (r *run) checkDocument(t *testing.T) {
	t.Helper()
	for _, k := range known {
		if len(r.seen[k.title]) == 0 {
			t.Errorf("difference %q is known, and was not seen", k.title)
		}
	}
	text := document(r.commands, r.seen)
	if *update {
		if err := os.WriteFile(r.document(), []byte(text), 0o644); err != nil {
			t.Error(err)
		}
		return
	}
	have, err := os.ReadFile(r.document())
	if err != nil {
		t.Fatal(err)
	}
	if diff := lineDiff(string(have), text); diff != "" {
		t.Errorf("docs/differences.md is not what was found; write it with -update: -document +found:\n%s", diff)
	}
}

// outcome is how a command ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// text is all that a command prints, standard error last and marked.
func (o outcome) text() string {
	out := o.stdout
	for line := range strings.Lines(o.stderr) {
		out += "! " + line
	}
	if o.code != 0 {
		out += fmt.Sprintf("exit status %d\n", o.code)
	}
	return out
}

// run runs a line as a user does it in a shell. A line that does not end is an outcome too.
func (s *side) run(ctx context.Context, line string) (outcome, error) {
	limited, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(limited, "bash", "-c", line)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and what it started
	cmd.WaitDelay = time.Second
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := outcome{stdout: stdout.String(), stderr: stderr.String(), code: cmd.ProcessState.ExitCode()}
	if _, exited := errors.AsType[*exec.ExitError](err); exited || limited.Err() != nil {
		err = nil
	}
	if limited.Err() != nil {
		out.stderr += fmt.Sprintf("it does not end within %s\n", commandTimeout)
	}
	return out, errors.Join(err, ctx.Err())
}
