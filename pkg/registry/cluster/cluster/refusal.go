// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxRefusal is how much of a refusal is read.
const maxRefusal = 64 << 10

// RefusesFleet says whether a member's API server asks for other credentials.
// Passed on, that would send users after their own. An application in a Pod,
// which the member itself proxies to, may well ask its user for a password. The
// body can still be read afterwards.
func RefusesFleet(response *http.Response) bool {
	if response.StatusCode != http.StatusUnauthorized {
		return false
	}
	if !slices.Contains(strings.Split(response.Request.URL.Path, "/"), "proxy") {
		return true
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), response.Body), response.Body}
	status := metav1.Status{}
	return err == nil && json.Unmarshal(body, &status) == nil && status.Kind == "Status" && status.Reason == metav1.StatusReasonUnauthorized
}
