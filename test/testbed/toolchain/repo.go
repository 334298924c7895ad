// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// modulePath is the module of the repository.
const modulePath = "fleet.dev/fleet"

// Repo finds the root of the repository that dir is in, from any directory below it.
func Repo(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		raw, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && bytes.HasPrefix(raw, []byte("module "+modulePath+"\n")) {
			return at, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("find the repository of module %s above %s: there is none", modulePath, dir)
		}
	}
}
