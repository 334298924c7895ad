// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

// Command adapter serves custom and external metrics in a member, by the library of all
// adapters and the values of its own test adapter. It has a go.mod of its own, so that what
// the library needs is none of the fleet's requirements.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/emicklei/go-restful/v3"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/cmd"
	"sigs.k8s.io/custom-metrics-apiserver/test-adapter/provider"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "serve metrics: %v\n", err)
		os.Exit(1)
	}
}

// run serves until it fails.
func run(ctx context.Context, args []string) error {
	adapter := &cmd.AdapterBase{Name: "adapter"}
	socket := adapter.Flags().String("socket", "", "Unix socket that takes values, as the test adapter does on a port")
	if err := adapter.Flags().Parse(args); err != nil {
		return err
	}
	client, err := adapter.DynamicClient()
	if err != nil {
		return err
	}
	mapper, err := adapter.RESTMapper()
	if err != nil {
		return err
	}
	metrics, values := provider.NewFakeProvider(client, mapper)
	adapter.WithCustomMetrics(metrics)
	adapter.WithExternalMetrics(metrics)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", *socket)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() {
		server := &http.Server{Handler: restful.NewContainer().Add(values), ReadHeaderTimeout: time.Minute}
		served <- server.Serve(listener)
	}()
	return errors.Join(adapter.Run(ctx), listener.Close(), <-served)
}
