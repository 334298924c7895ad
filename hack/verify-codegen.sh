#!/usr/bin/env bash
# Copyright The Fleet Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails when generated code is not what hack/update-codegen.sh makes of the types.
# It generates in a copy, so the working tree is never touched.

set -o errexit -o nounset -o pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
copy=$(mktemp -d)
trap 'rm -rf "${copy}"' EXIT

mkdir -p "${copy}/hack" "${copy}/pkg"
cp "${root}/go.mod" "${root}/go.sum" "${copy}/"
cp -r "${root}/hack/boilerplate.txt" "${root}/hack/update-codegen.sh" "${root}/hack/models-schema" "${copy}/hack/"
cp -r "${root}/pkg/apis" "${root}/pkg/generated" "${copy}/pkg/"
# The modules only generators need are kept in go.mod by this file.
[[ ! -e "${root}/pkg/deps.go" ]] || cp "${root}/pkg/deps.go" "${copy}/pkg/"

CODEGEN_BIN=${root}/_bin/codegen "${copy}/hack/update-codegen.sh" >/dev/null

failed=0
diff -Naupr "${root}/pkg/apis" "${copy}/pkg/apis" || failed=1
diff -Naupr "${root}/pkg/generated" "${copy}/pkg/generated" || failed=1
if ((failed)); then
  echo "generated code is out of date: run hack/update-codegen.sh" >&2
  exit 1
fi
echo "generated code is up to date"
