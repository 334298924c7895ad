#!/usr/bin/env bash
# Copyright The Fleet Authors.
# SPDX-License-Identifier: Apache-2.0

# Regenerates everything below pkg/generated and every zz_generated file of
# pkg/apis from the types in pkg/apis. Needs Go and the modules of go.mod, no
# more; run it after every change of a type, and commit the result apart.

set -o errexit -o nounset -o pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "${root}"
module=fleet.dev/fleet
generated=${root}/pkg/generated
boilerplate=${root}/hack/boilerplate.txt

# The generators are installed to a place of their own, not to the user's bin.
GOBIN=${CODEGEN_BIN:-${root}/_bin/codegen}
export GOBIN
mkdir -p "${GOBIN}"

codegen=$(go list -m -f '{{.Dir}}' k8s.io/code-generator)
# shellcheck source=/dev/null
source "${codegen}/kube_codegen.sh"
# Installing from here rather than from the module cache builds the generators
# with the versions that go.mod names.
KUBE_CODEGEN_ROOT=${root}

kube::codegen::gen_helpers \
  --extra-peer-dir "${module}/pkg/apis/policy/v1alpha1" \
  --boilerplate "${boilerplate}" \
  "${root}/pkg/apis"

kube::codegen::gen_openapi \
  --output-dir "${generated}/openapi" \
  --output-pkg "${module}/pkg/generated/openapi" \
  --output-model-name-file zz_generated.model_name.go \
  --report-filename "${generated}/openapi/violations.report" \
  --update-report \
  --boilerplate "${boilerplate}" \
  "${root}/pkg/apis"

# The generator reads the model package of its inputs only, so it names upstream
# types by their Go package. As inputs they would all be generated once more;
# what they are called is fixed, so the names are put right instead.
sed -i.bak 's|"k8s.io/api/core/v1\.|"io.k8s.api.core.v1.|g' "${generated}/openapi/zz_generated.openapi.go"
rm "${generated}/openapi/zz_generated.openapi.go.bak"

# The models the fleet's types refer to, so that apply configurations can be
# extracted from objects and the fake clientset understands apply.
models=$(mktemp)
trap 'rm -f "${models}"' EXIT
go run ./hack/models-schema >"${models}"

kube::codegen::gen_client \
  --with-watch \
  --with-applyconfig \
  --applyconfig-openapi-schema "${models}" \
  --output-dir "${generated}" \
  --output-pkg "${module}/pkg/generated" \
  --boilerplate "${boilerplate}" \
  "${root}/pkg/apis"
