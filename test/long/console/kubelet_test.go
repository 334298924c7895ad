// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"
)

// kubeletCommand makes the program of these tests a kubelet, see runKubelet.
const kubeletCommand = "kubelet"

// statusTimeout bounds how long the end of a Pod takes to be written.
const statusTimeout = time.Minute

// kubelet serves what kwok serves, but for attach.
type kubelet struct {
	kube kubernetes.Interface
	kwok *httputil.ReverseProxy
	dir  string // where shells leave how they ended
}

// kubeletArgs are the arguments of the program for a kubelet.
func kubeletArgs(port, behind int32, cert, key, kubeconfig, dir string) []string {
	return []string{kubeletCommand, fmt.Sprint(port), fmt.Sprint(behind), cert, key, kubeconfig, dir}
}

func isKubelet(args []string) bool { return len(args) == 8 && args[1] == kubeletCommand }

// runKubelet serves, with the arguments of kubeletArgs, until it fails.
func runKubelet(args []string) error {
	port, behind, cert, key, kubeconfig, dir := args[0], args[1], args[2], args[3], args[4], args[5]
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	to := &url.URL{Scheme: "https", Host: net.JoinHostPort("localhost", behind)}
	k := &kubelet{kube: kube, dir: dir, kwok: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		// On this machine nobody else is asked. Streams need HTTP/1.1.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, //nolint:gosec // see above
	}}
	server := &http.Server{
		Addr: net.JoinHostPort("127.0.0.1", port), Handler: k, ReadHeaderTimeout: time.Minute,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return server.ListenAndServeTLS(cert, key)
}

// ServeHTTP implements http.Handler.
func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if parts[0] != "attach" || len(parts) < 4 {
		k.kwok.ServeHTTP(w, r)
		return
	}
	namespace, pod := parts[1], parts[2]
	ended := filepath.Join(k.dir, namespace+"-"+pod)
	shell := r.Clone(r.Context())
	shell.URL.Path = "/exec/" + strings.Join(parts[1:], "/")
	query := shell.URL.Query()
	// Who attaches does not hear how a process ended, but from the Pod.
	query["command"] = []string{"/bin/sh", "-c", "/bin/sh; echo $? >" + ended}
	shell.URL.RawQuery = query.Encode()
	k.kwok.ServeHTTP(w, shell)
	if err := k.end(context.WithoutCancel(r.Context()), namespace, pod, ended); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "end pod %s/%s: %v\n", namespace, pod, err)
	}
}

// end ends a Pod as its shell did, unless that goes on.
func (k *kubelet) end(ctx context.Context, namespace, name, ended string) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	raw, err := os.ReadFile(ended) //nolint:gosec // the name of a Pod is that of a file
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	code, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 32)
	if err != nil {
		return err
	}
	pods := k.kube.CoreV1().Pods(namespace)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		finish(&pod.Status, int32(code))
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
}

// finish makes the status that of a Pod whose only container ended.
func finish(status *corev1.PodStatus, code int32) {
	reason := "Completed"
	status.Phase = corev1.PodSucceeded
	if code != 0 {
		reason, status.Phase = "Error", corev1.PodFailed
	}
	now := metav1.Now()
	for i := range status.Conditions {
		c := &status.Conditions[i]
		if c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Status, c.Reason, c.LastTransitionTime = corev1.ConditionFalse, "Pod"+string(status.Phase), now
		}
	}
	for i := range status.ContainerStatuses {
		c := &status.ContainerStatuses[i]
		c.Ready, c.Started = false, new(bool)
		c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: now, FinishedAt: now}}
	}
}
