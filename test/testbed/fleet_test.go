// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// fakeFleet is this test binary under the name "fleet": a server that knows
// clusters, which become ready at the second look, and the join command.
func fakeFleet(args []string) error {
	switch args[0] {
	case "server":
		return fakeServer(args[1:])
	case "join":
		config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
		if err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, config.Host+clustersPath+args[1], nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	default:
		return fmt.Errorf("no such command: %s", args[0])
	}
}

const clustersPath = "/apis/cluster.fleet.dev/v1alpha1/clusters/"

func fakeServer(args []string) error {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	dataDir := flags.String("data-dir", "", "")
	address := flags.String("bind-address", "", "")
	port := flags.String("secure-port", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["fleet"] = &clientcmdapi.Cluster{Server: "http://" + net.JoinHostPort(*address, *port)}
	config.Contexts["fleet"] = &clientcmdapi.Context{Cluster: "fleet"}
	config.CurrentContext = "fleet"
	if err := clientcmd.WriteToFile(*config, filepath.Join(*dataDir, "kubeconfigs", "admin.kubeconfig")); err != nil {
		return err
	}
	looks := map[string]int{} // requests come one by one
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST "+clustersPath+"{name}", func(_ http.ResponseWriter, r *http.Request) {
		looks[r.PathValue("name")] = 1
	})
	mux.HandleFunc("GET "+clustersPath+"{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		w.Header().Set("Content-Type", "application/json")
		if looks[name] == 0 {
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404})
			return
		}
		status := "False"
		if looks[name]++; looks[name] > 2 {
			status = "True"
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"kind": "Cluster", "apiVersion": "cluster.fleet.dev/v1alpha1", "metadata": map[string]any{"name": name},
			"status": map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": status}}},
		})
	})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: net.JoinHostPort(*address, *port), Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return err
	}
	return nil
}

// openFakeBed opens a bed whose fleet is this test binary.
func openFakeBed(t *testing.T) *Bed {
	t.Helper()
	b := openBed(t, t.TempDir())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(b.cfg.Bin, fleetName)
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestFleet(t *testing.T) {
	b := openFakeBed(t)
	fleet, err := b.StartFleet(t.Context(), FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(readFile(t, filepath.Join(fleet.DataDir(), "kubeconfigs", "admin.kubeconfig")), readFile(t, fleet.Kubeconfig())); diff != "" {
		t.Errorf("the kubeconfig is brought where users look: -want +got:\n%s", diff)
	}
	member, err := b.ensureMember(t.Context(), MemberConfig{Name: "member1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.clusterReady(t.Context(), "member1"); err == nil {
		t.Error("a member that did not join is not ready")
	}
	for range 2 {
		if err := fleet.Join(t.Context(), member); err != nil {
			t.Fatalf("joining again changes nothing: %v", err)
		}
	}
	if err := fleet.AwaitReady(t.Context(), member); err != nil {
		t.Fatal(err)
	}

	first := fleet.Process.PID()
	if err := fleet.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if fleet.Process.PID() == first || !fleet.Process.Alive() {
		t.Error("a restart brings a new process on the same port")
	}
	if err := fleet.RestartWith(t.Context(), "--no-such-flag"); err == nil {
		t.Error("other arguments take effect with a restart")
	}
	if err := fleet.RestartWith(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := fleet.Stop(t.Context(), time.Minute); err != nil {
		t.Errorf("a clean shutdown is no error: %v", err)
	}
}

func TestFleetCommandFails(t *testing.T) {
	b := openFakeBed(t)
	fleet, err := b.ensureFleet(t.Context(), FleetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = fleet.Run(t.Context(), "unjoin", "x")
	if err == nil || !strings.Contains(err.Error(), "run fleet unjoin x: exit status 1: no such command: unjoin") {
		t.Errorf("a failed command's own words must be in the error: got %v", err)
	}
}

func TestFleetNeverStarts(t *testing.T) {
	b := openFakeBed(t)
	_, err := b.StartFleet(t.Context(), FleetConfig{Args: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal("want an error")
	}
	for _, want := range []string{"wait for fleet: it ended", "fleet.log", "no-such-flag"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}
