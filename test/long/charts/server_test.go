// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// server is the operator of a member.
type server struct {
	member string
}

// serve serves on a socket until the process ends.
func serve(member, socket string, certificate tls.Certificate) error {
	if err := os.RemoveAll(socket); err != nil { // of a run that was killed
		return err
	}
	listener, err := net.Listen("unix", socket) //nolint:noctx // it is there at once
	if err != nil {
		return err
	}
	s := &server{member: member}
	served := &http.Server{
		Handler: http.HandlerFunc(s.validate), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() { _ = served.ServeTLS(listener, "", "") }()
	return nil
}

// validate denies gadgets of less than nothing.
func (s *server) validate(w http.ResponseWriter, req *http.Request) {
	review := &admissionv1.AdmissionReview{}
	if err := json.NewDecoder(req.Body).Decode(review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var gadget struct{ Spec struct{ Size int } }
	if err := json.Unmarshal(review.Request.Object.Raw, &gadget); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: gadget.Spec.Size >= 0}
	if !review.Response.Allowed {
		review.Response.Result = &metav1.Status{Message: "too small, says " + s.member}
	}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(review); err != nil {
		panic(http.ErrAbortHandler)
	}
}
