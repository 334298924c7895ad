// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command judge says what libraries that GitOps tools are built of make of objects:
// kstatus, which Flux and kpt wait with, and the health checks of Argo CD's
// gitops-engine. It reads objects from its standard input, one JSON value after the
// other, and answers each with a line of JSON.
//
// It is a module of its own, so that what these libraries require is no requirement of
// the fleet.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// verdict is what the libraries say of an object, with their reasons.
type verdict struct {
	Kstatus       string `json:"kstatus"`
	KstatusReason string `json:"kstatusReason,omitempty"`
	Argo          string `json:"argo"`
	ArgoReason    string `json:"argoReason,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(raw); err != nil {
			return err
		}
		said, err := judge(object)
		if err != nil {
			return fmt.Errorf("judge %s %q: %w", object.GetKind(), object.GetName(), err)
		}
		if err := encoder.Encode(said); err != nil {
			return err
		}
	}
}

func judge(object *unstructured.Unstructured) (verdict, error) {
	computed, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	said := verdict{Kstatus: computed.Status.String(), KstatusReason: computed.Message}
	argo, err := health.GetResourceHealth(object, nil)
	switch {
	case err != nil:
		return verdict{}, err
	case argo != nil:
		said.Argo, said.ArgoReason = string(argo.Status), argo.Message
	}
	return said, nil
}
