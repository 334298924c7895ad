// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

const (
	// maxDigits and maxExponent bound the numbers of members. Greater ones are computed
	// with all their digits: one of a billion zeroes takes minutes.
	maxDigits, maxExponent = 48, 18
)

// countable refuses the text of a quantity that takes long to count with. It may be none
// at all.
func countable(text string) error {
	if len(text) > maxDigits {
		return fmt.Errorf("a number with more than %d digits", maxDigits)
	}
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return nil
	}
	exponent := strings.TrimLeft(text[at+1:], "+-")
	if exponent == "" || strings.Trim(exponent, "0123456789") != "" {
		return nil // a suffix, such as E or Ei
	}
	if power, err := strconv.Atoi(exponent); err != nil || power > maxExponent {
		return fmt.Errorf("a number with an exponent beyond %d", maxExponent)
	}
	return nil
}

// countableText refuses to be read from what is not countable.
type countableText struct{}

// UnmarshalJSON implements json.Unmarshaler.
func (*countableText) UnmarshalJSON(text []byte) error {
	return countable(string(bytes.Trim(text, `"`)))
}

// measures are the numbers in any answer of metrics.k8s.io.
type measures struct {
	measure

	Items []measure `json:"items"`
}

// measure are the numbers about one Pod or Node.
type measure struct {
	Usage      map[string]countableText `json:"usage"`
	Containers []struct {
		Usage map[string]countableText `json:"usage"`
	} `json:"containers"`
}
