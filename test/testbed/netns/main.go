// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

func main() {
	root := context.Background()
	ctx, stop := signal.NotifyContext(root, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netns:", err)
		os.Exit(1)
	}
}

// commands are what the program can do.
var commands = map[string]func(ctx context.Context, args []string) error{
	"hold":    hold,
	"forward": forwardOne,
	"exec":    become,
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("say what to do: hold, forward or exec")
	}
	return commands[args[0]](ctx, args[1:])
}

// hold keeps the namespace it runs in and forwards over its border.
func hold(ctx context.Context, args []string) error {
	var out, in pairs
	flags := flag.NewFlagSet("hold", flag.ContinueOnError)
	flags.Var(&out, "out", "PORT=SOCKET: connections to a port inside go on to a socket")
	flags.Var(&in, "in", "SOCKET=PORT: connections to a socket go on to a port inside")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := bringUpLoopback(); err != nil {
		return err
	}
	var routes []route
	for _, p := range out {
		routes = append(routes, route{from: loopbackPort(p.from), to: endpoint{"unix", p.to}})
	}
	for _, p := range in {
		routes = append(routes, route{from: endpoint{"unix", p.from}, to: loopbackPort(p.to)})
	}
	return forwardAll(ctx, routes)
}

// forwardOne is the forward command.
func forwardOne(ctx context.Context, args []string) error {
	var r route
	flags := flag.NewFlagSet("forward", flag.ContinueOnError)
	flags.Var(&r.from, "from", "NETWORK:ADDRESS to listen on")
	flags.Var(&r.to, "to", "NETWORK:ADDRESS to dial for each connection")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return forwardAll(ctx, []route{r})
}

// forwardAll listens on all routes and forwards until ctx ends.
func forwardAll(ctx context.Context, routes []route) error {
	forwarders := make([]*forwarder, len(routes))
	for i, r := range routes {
		f, err := listen(ctx, r)
		if err != nil {
			return err
		}
		forwarders[i] = f
	}
	var group sync.WaitGroup
	for _, f := range forwarders {
		group.Go(func() { f.run(ctx) })
	}
	group.Wait()
	return nil
}

// pair is one value of -out and -in.
type pair struct{ from, to string }

type pairs []pair

// String implements flag.Value.
func (p *pairs) String() string { return fmt.Sprint(*p) }

// Set implements flag.Value.
func (p *pairs) Set(value string) error {
	from, to, found := strings.Cut(value, "=")
	if !found || from == "" || to == "" {
		return fmt.Errorf("%q is not FROM=TO", value)
	}
	*p = append(*p, pair{from, to})
	return nil
}
