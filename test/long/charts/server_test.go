// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// relayCommand makes the test's program a relay, see relay.
const relayCommand = "relay"

// relay carries what comes on its input to a socket and what comes from there to its
// output.
func relay(socket string) error {
	conn, err := net.Dial("unix", socket) //nolint:noctx // the process ends with the connection
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	_, err = io.Copy(os.Stdout, conn)
	return err
}

// server is the operator of a member.
type server struct {
	*http.Server

	member string
}

// serve serves on a socket until the server is closed.
func serve(member, socket string, certificate tls.Certificate) (*server, error) {
	if err := os.RemoveAll(socket); err != nil { // of a run that was killed
		return nil, err
	}
	listener, err := net.Listen("unix", socket) //nolint:noctx // it is there at once
	if err != nil {
		return nil, err
	}
	s := &server{member: member}
	s.Server = &http.Server{
		Handler: http.HandlerFunc(s.validate), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() { _ = s.ServeTLS(listener, "", "") }()
	return s, nil
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
