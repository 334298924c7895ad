// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// fieldManager is who applies.
const fieldManager = "somebody"

// apply has the fleet store objects, each as a user writes it, one after the other.
// Between policies and what comes after them it waits until the scheduler knows the
// policies: it hears of different kinds in no particular order.
func apply(objects ...object) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		var unheard []*unstructured.Unstructured
		for _, o := range objects {
			made := o.in(s)
			if isPolicy(made) {
				unheard = append(unheard, made)
			} else {
				s.awaitHeard(t, unheard)
				unheard = nil
			}
			if err := s.apply(t.Context(), made); err != nil {
				t.Fatal(err)
			}
		}
		s.awaitHeard(t, unheard)
	}
}

// applyTo is apply behind the fleet's back, in one member.
func applyTo(member string, objects ...object) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		m := memberNamed(member)
		for _, o := range objects {
			made := o.in(s)
			resource, err := resourceOf(made.GroupVersionKind())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.memberObjects.Resource(resource.gvr).Namespace(made.GetNamespace()).
				Create(t.Context(), made, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
				t.Fatalf("create %s %s in %s: %v", made.GetKind(), made.GetName(), member, err)
			}
		}
	}
}

// refused has the fleet refuse an object, and say why.
func refused(o object, why string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		err := s.apply(t.Context(), o.in(s))
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Fatalf("want it refused with %q, got %v", why, err)
		}
	}
}

func (s *story) apply(ctx context.Context, o *unstructured.Unstructured) error {
	resource, err := resourceOf(o.GroupVersionKind())
	if err != nil {
		return err
	}
	data, err := o.MarshalJSON()
	if err != nil {
		return err
	}
	options := metav1.PatchOptions{FieldManager: fieldManager, Force: new(true), FieldValidation: metav1.FieldValidationStrict}
	_, err = bed.fleetObjects.Resource(resource.gvr).Namespace(o.GetNamespace()).Patch(ctx, o.GetName(), types.ApplyPatchType, data, options)
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// patch merges something into objects of the fleet.
func patch(ref, with string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		r := parse(ref)
		_, err := bed.fleetObjects.Resource(r.resource.gvr).Namespace(s.namespaceFor(r)).
			Patch(t.Context(), s.fill(r.name), types.MergePatchType, yamlToJSON(t, s.fill(with)), metav1.PatchOptions{FieldManager: fieldManager})
		if err != nil {
			t.Fatalf("patch %s: %v", ref, err)
		}
	}
}

// patchIn is patch in a member, as by somebody else, of the object or its status.
func patchIn(member, ref, with string, subresources ...string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		r := parse(ref)
		_, err := memberNamed(member).memberObjects.Resource(r.resource.gvr).Namespace(s.namespaceFor(r)).
			Patch(t.Context(), s.fill(r.name), types.MergePatchType, yamlToJSON(t, s.fill(with)), metav1.PatchOptions{FieldManager: fieldManager}, subresources...)
		if err != nil {
			t.Fatalf("patch %s in %s: %v", ref, member, err)
		}
	}
}

// remove deletes objects of the fleet.
func remove(refs ...string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		for _, ref := range refs {
			r := parse(ref)
			err := bed.fleetObjects.Resource(r.resource.gvr).Namespace(s.namespaceFor(r)).Delete(t.Context(), s.fill(r.name), metav1.DeleteOptions{})
			if err != nil {
				t.Fatalf("delete %s: %v", ref, err)
			}
		}
	}
}

// runs has a program run of the binaries directory in the namespace of the case. It
// has to succeed and to print all of what is wanted.
func runs(command string, want ...string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		out, err := s.run(t.Context(), "", strings.Fields(s.fill(command))...)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.contains(command, out, want); err != nil {
			t.Error(err)
		}
	}
}

// fails is runs of what has to fail and say why.
func fails(command string, want ...string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		_, err := s.run(t.Context(), "", strings.Fields(s.fill(command))...)
		if err == nil {
			t.Fatalf("%s succeeds", command)
		}
		if err := s.contains(command, err.Error(), want); err != nil {
			t.Error(err)
		}
	}
}

// contains checks that a program printed all of what is wanted.
func (s *story) contains(command, out string, want []string) error {
	// Columns are as wide as their widest cell.
	plain := strings.Join(strings.Fields(out), " ")
	var errs []error
	for _, text := range want {
		if text = s.fill(text); !strings.Contains(plain, text) {
			errs = append(errs, fmt.Errorf("%s: want %q in\n%s", command, text, out))
		}
	}
	return errors.Join(errs...)
}

// commandTimeout bounds one run of a program.
const commandTimeout = 2 * time.Minute

// run runs a program as the fleet's administrator and returns all it prints.
func (s *story) run(ctx context.Context, stdin string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bed.bin, command[0]), command[1:]...)
	cmd.Env = []string{
		"PATH=" + bed.bin + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + filepath.Join(bed.dir, "home"),
		"KUBECONFIG=" + s.kubeconfig, "TMPDIR=" + os.TempDir(), "LANG=C.UTF-8",
	}
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := errors.Join(cmd.Run(), ctx.Err()); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, out.String())
	}
	return out.String(), nil
}

// writes makes a file of the case.
func writes(name, text string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(s.fill(text)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// starts runs a program of the binaries directory until the case ends.
func starts(command string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		words := strings.Fields(s.fill(command))
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(bed.bin, words[0]), words[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var log bytes.Buffer
		cmd.Stdout, cmd.Stderr = &log, &log
		// The kernel ends the process with the thread that started it.
		started, ended := make(chan error), make(chan struct{})
		go func() {
			runtime.LockOSThread()
			defer close(ended)
			err := cmd.Start()
			started <- err
			if err == nil {
				_ = cmd.Wait()
			}
		}()
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			<-ended
			if t.Failed() {
				t.Logf("%s:\n%s", command, log.String())
			}
		})
	}
}
