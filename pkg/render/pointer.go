// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"fmt"
	"strconv"
	"strings"
)

// pointerEscapes are those of RFC 6901.
var pointerEscapes = strings.NewReplacer("~1", "/", "~0", "~")

// editString replaces the string that a JSON pointer names in the object.
func editString(object map[string]any, pointer string, edit func(string) (string, error)) error {
	if !strings.HasPrefix(pointer, "/") {
		return fmt.Errorf("path %q does not begin with a slash", pointer)
	}
	tokens := strings.Split(pointer[1:], "/")
	var current any = object
	for i, token := range tokens {
		get, set := child(current, pointerEscapes.Replace(token))
		if get == nil {
			return fmt.Errorf("path %q is not in the template", pointer)
		}
		if i < len(tokens)-1 {
			current = get
			continue
		}
		text, ok := get.(string)
		if !ok {
			return fmt.Errorf("path %q is no string", pointer)
		}
		edited, err := edit(text)
		if err != nil {
			return err
		}
		set(edited)
	}
	return nil
}

// child returns the value under a token and how to replace it, nil when there is
// none.
func child(parent any, token string) (any, func(any)) {
	switch parent := parent.(type) {
	case map[string]any:
		return parent[token], func(value any) { parent[token] = value }
	case []any:
		index, err := strconv.Atoi(token)
		if err != nil || index < 0 || index >= len(parent) {
			return nil, nil
		}
		return parent[index], func(value any) { parent[index] = value }
	default:
		return nil, nil
	}
}
