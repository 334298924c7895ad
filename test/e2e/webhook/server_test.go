// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// server is what runs in the Pods of a member. Its answers name the member.
type server struct {
	member string
}

// serve serves on a socket until the test ends.
func serve(t *testing.T, member, socket string, certificate tls.Certificate) {
	t.Helper()
	listener, err := net.Listen("unix", socket) //nolint:noctx // it is there at once
	if err != nil {
		t.Fatal(err)
	}
	s := server{member: member}
	mux := http.NewServeMux()
	mux.HandleFunc("/validate", answer(s.validate))
	mux.HandleFunc("/convert", answer(s.convert))
	mux.HandleFunc("/", s.reports)
	served := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: time.Minute,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() { _ = served.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = served.Close() })
}

// answer decodes a review, has it answered and sends it back.
func answer[Review any](review func(*Review)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		asked := new(Review)
		if err := json.NewDecoder(req.Body).Decode(asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		review(asked)
		writeJSON(w, asked)
	}
}

func writeJSON(w http.ResponseWriter, object any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(object); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// validate denies what is called forbidden.
func (s server) validate(review *admissionv1.AdmissionReview) {
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: review.Request.Name != "forbidden"}
	if !review.Response.Allowed {
		review.Response.Result = &metav1.Status{Message: "forbidden by the server in " + s.member}
	}
	review.Request = nil
}

// convert makes a size in words a length, and the reverse.
func (s server) convert(review *apiextensionsv1.ConversionReview) {
	response := &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	for _, raw := range review.Request.Objects {
		widget := &unstructured.Unstructured{}
		if err := json.Unmarshal(raw.Raw, widget); err != nil {
			response.Result = metav1.Status{Status: metav1.StatusFailure, Message: err.Error()}
			break
		}
		convertWidget(widget, review.Request.DesiredAPIVersion)
		response.ConvertedObjects = append(response.ConvertedObjects, runtime.RawExtension{Object: widget})
	}
	review.Response, review.Request = response, nil
}

func convertWidget(widget *unstructured.Unstructured, version string) {
	widget.SetAPIVersion(version)
	if size, ok, _ := unstructured.NestedString(widget.Object, "spec", "size"); ok && strings.HasSuffix(version, "/v2") {
		length, _ := strconv.ParseInt(size, 10, 64)
		widget.Object["spec"] = map[string]any{"length": length}
	}
	if length, ok, _ := unstructured.NestedInt64(widget.Object, "spec", "length"); ok && strings.HasSuffix(version, "/v1") {
		widget.Object["spec"] = map[string]any{"size": fmt.Sprint(length)}
	}
}

// reports serves an API of its own: one report, which says who wrote it.
func (s server) reports(w http.ResponseWriter, req *http.Request) {
	const group = "reports.hooks.example.com/v1"
	report := map[string]any{
		"apiVersion": group, "kind": "Report",
		"metadata": map[string]any{"name": "today", "creationTimestamp": "2026-01-01T00:00:00Z"}, "by": s.member,
	}
	switch req.URL.Path {
	case "/apis/" + group:
		writeJSON(w, metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: group,
			APIResources: []metav1.APIResource{{
				Name: "reports", SingularName: "report", Kind: "Report", Verbs: metav1.Verbs{"get", "list", "watch", "create"},
			}},
		})
	case "/apis/" + group + "/reports":
		if req.URL.Query().Get("watch") != "" {
			<-req.Context().Done()
			return
		}
		writeJSON(w, map[string]any{"apiVersion": group, "kind": "ReportList", "metadata": map[string]any{"resourceVersion": "1"}, "items": []any{report}})
	case "/apis/" + group + "/reports/today":
		writeJSON(w, report)
	case "/who":
		_, _ = io.WriteString(w, s.member)
	default:
		http.NotFound(w, req)
	}
}
