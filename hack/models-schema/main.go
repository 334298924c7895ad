// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command models-schema prints the OpenAPI v2 definitions of the fleet's API
// types and of upstream's, which they refer to, for the generator of apply
// configurations; the generator picks what it needs.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"
	kubeopenapi "k8s.io/kubernetes/pkg/generated/openapi"

	"fleet.dev/fleet/pkg/generated/openapi"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(swagger()); err != nil {
		fmt.Fprintln(os.Stderr, "encode definitions:", err)
		os.Exit(1)
	}
}

func swagger() *spec.Swagger {
	definitions := kubeopenapi.GetOpenAPIDefinitions(reference)
	maps.Copy(definitions, openapi.GetOpenAPIDefinitions(reference))
	schemas := make(map[string]spec.Schema, len(definitions))
	for name, definition := range definitions {
		schemas[name] = v2(definition.Schema)
	}
	return &spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Definitions: schemas,
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Fleet", Version: "unversioned"}},
		Swagger:     "2.0",
	}}
}

// v2 returns the OpenAPI v2 form of a schema that has a v3 form beside it.
func v2(schema spec.Schema) spec.Schema {
	if embedded, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
		return embedded
	}
	return schema
}

func reference(name string) spec.Ref {
	return spec.MustCreateRef("#/definitions/" + name)
}
