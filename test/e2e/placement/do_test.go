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
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// fieldManager is who applies.
const fieldManager = "somebody"

// apply has the fleet store objects, each as a user writes it, one after the other.
func apply(objects ...object) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		for _, o := range objects {
			if err := s.apply(t.Context(), o.in(s)); err != nil {
				t.Fatal(err)
			}
		}
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

// runs runs a program of the binaries directory in the namespace of the case. It
// has to succeed and to print all of what is wanted.
func runs(command string, want ...string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		out, err := s.run(t.Context(), "", strings.Fields(s.fill(command))...)
		if err != nil {
			t.Fatal(err)
		}
		s.mustContain(t, command, out, want)
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
		s.mustContain(t, command, err.Error(), want)
	}
}

// runsWith is runs with an object on the standard input; what the program says on
// its standard error counts, too.
func runsWith(o object, command string, want ...string) step {
	return func(t *testing.T, s *story) {
		t.Helper()
		data, err := o.in(s).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.run(t.Context(), string(data), strings.Fields(s.fill(command))...)
		if err != nil {
			t.Fatal(err)
		}
		s.mustContain(t, command, out, want)
	}
}

func (s *story) mustContain(t *testing.T, command, out string, want []string) {
	t.Helper()
	// Columns are as wide as their widest cell.
	plain := strings.Join(strings.Fields(out), " ")
	for _, text := range want {
		if text = s.fill(text); !strings.Contains(plain, text) {
			t.Errorf("%s: want %q in\n%s", command, text, out)
		}
	}
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
