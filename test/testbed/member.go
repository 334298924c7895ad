// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// readyTimeout bounds the wait for one process or member to be ready. It takes
// seconds; a machine that compiles at the same time takes longer.
const readyTimeout = 3 * time.Minute

// MemberConfig describes a member cluster.
type MemberConfig struct {
	// Name is the member's name, a DNS label unique in the bed.
	Name string `json:"name"`
	// Nodes is the number of nodes kwok plays, 2 when 0. Each has 32 CPUs,
	// 256 GiB and room for 110 pods.
	Nodes int `json:"nodes"`
	// Region is the nodes' topology.kubernetes.io/region, "region-<n>" for the
	// n-th member when empty.
	Region string `json:"region"`
	// Zones are the nodes' topology.kubernetes.io/zone in turn, "<region>a" and
	// "<region>b" when empty.
	Zones []string `json:"zones"`
	// DialsOut puts the member into a network of its own: it can dial the fleet, and
	// nobody can dial it, but tests by its kubeconfig.
	DialsOut bool `json:"dialsOut,omitempty"`
	// Bin is a directory with the kube-apiserver, kube-controller-manager and
	// kube-scheduler of another version; the bed's own when empty.
	Bin string `json:"bin,omitempty"`
	// PortForward is the command that a port-forward to any of the member's pods
	// runs, with the connection as its input and output; cat when empty.
	PortForward []string `json:"portForward,omitempty"`
	// Flags are appended to the flags of the component they are keyed by, for
	// example "kube-controller-manager": {"--node-monitor-grace-period=10s"}.
	Flags map[string][]string `json:"flags,omitempty"`
}

// withDefaults fills empty fields for the member with the given number in its bed.
func (c MemberConfig) withDefaults(number int) MemberConfig {
	if c.Nodes == 0 {
		c.Nodes = defaultNodes
	}
	if c.Region == "" {
		c.Region = fmt.Sprintf("region-%d", number)
	}
	if len(c.Zones) == 0 {
		c.Zones = []string{c.Region + "a", c.Region + "b"}
	}
	return c
}

// portForward is the command as YAML.
func (c MemberConfig) portForward() string {
	command := c.PortForward
	if len(command) == 0 {
		command = []string{"/bin/cat"}
	}
	quoted := make([]string, len(command))
	for i, word := range command {
		quoted[i] = strconv.Quote(word)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Names of a member's components, also the names of their programs.
const (
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	kwok              = "kwok"
)

// Member is a real Kubernetes cluster of a bed. Its processes may be killed,
// paused and started one by one; Start brings back what is missing.
type Member struct {
	// APIServer, ControllerManager and Scheduler are the member's control plane.
	APIServer, ControllerManager, Scheduler *Process
	// Kwok plays the kubelets. Start it with Member.Start: a new kwok waits
	// for the leases of the old one, which Member.Start releases.
	Kwok *Process
	// Agent is the fleet's agent in a member that can only dial out, nil for
	// others. Fleet.Register and StartAgent start it, Start does not.
	Agent *Process

	layout memberLayout
	bed    *Bed
	// network is that of a member that can only dial out, nil for others.
	network *network
}

// Name is the member's name.
func (m *Member) Name() string { return m.layout.config.Name }

// Config is what the member was made from, with defaults filled in.
func (m *Member) Config() MemberConfig { return m.layout.config }

// Kubeconfig is the file with the member's administrator. It works on this
// machine also when the member can only dial out: by a port that nobody else knows.
func (m *Member) Kubeconfig() string { return m.layout.kubeconfig() }

// InnerKubeconfig is the file of an administrator for what runs in the member's network, see
// Command.
func (m *Member) InnerKubeconfig() string { return m.layout.componentKubeconfig(kwok) }

// KubeletPair is the certificate, with its key, that the member's API server expects of
// a kubelet on this machine.
func (m *Member) KubeletPair() (cert, key string) { return m.layout.keys().pair("kubelet-server") }

// RESTConfig is for clients that act as the member's administrator, without
// client-side rate limits.
func (m *Member) RESTConfig() (*rest.Config, error) { return loadConfig(m.Kubeconfig()) }

// EtcdPrefix is the prefix of the member's keys in the bed's etcd.
func (m *Member) EtcdPrefix() string { return m.layout.etcdPrefix() }

// Link is the way to the fleet of a member that can only dial out, nil for others.
func (m *Member) Link() *Link {
	if m.network == nil {
		return nil
	}
	return &Link{forwarder: m.network.link}
}

// Processes are the member's processes in start order.
func (m *Member) Processes() []*Process {
	components := []*Process{m.APIServer, m.ControllerManager, m.Scheduler, m.Kwok}
	if m.network == nil {
		return components
	}
	return append(append(m.network.processes(), components...), m.Agent)
}

// Start starts what does not run of the member and waits until it schedules
// pods: every component is healthy, the nodes are ready and the default
// namespace has its service account.
func (m *Member) Start(ctx context.Context) error {
	if err := m.layout.prepare(m.bed.cfg.Bin, m.bed.cfg.Now()); err != nil {
		return fmt.Errorf("prepare member %q: %w", m.Name(), err)
	}
	if err := m.StartAPIServer(ctx); err != nil {
		return err
	}
	m.bed.cfg.Report(m.Name() + ": API server is ready")
	config, err := m.RESTConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if !m.Kwok.Alive() {
		if err := releaseNodes(ctx, client); err != nil {
			return fmt.Errorf("release nodes of member %q: %w", m.Name(), err)
		}
	}
	for _, p := range []*Process{m.ControllerManager, m.Scheduler, m.Kwok} {
		if err := p.Start(ctx); err != nil {
			return err
		}
	}
	if err := createNodes(ctx, client, m.layout.config); err != nil {
		return err
	}
	if err := createStorageClass(ctx, client); err != nil {
		return fmt.Errorf("create storage class in member %q: %w", m.Name(), err)
	}
	if err := m.awaitUsable(ctx, client); err != nil {
		return err
	}
	m.bed.cfg.Report(fmt.Sprintf("%s: controllers and %d nodes are ready", m.Name(), m.layout.config.Nodes))
	return nil
}

// StartAPIServer starts the API server unless it runs and waits for /readyz.
func (m *Member) StartAPIServer(ctx context.Context) error {
	if err := m.startNetwork(ctx); err != nil {
		return err
	}
	if err := m.APIServer.Start(ctx); err != nil {
		return err
	}
	return m.awaitHealthy(ctx, m.APIServer, httpsURL(m.layout.ports.APIServer)+"/readyz")
}

// startNetwork starts the member's network if it has one. With a new namespace
// everything starts anew: who is in the old one stays there.
func (m *Member) startNetwork(ctx context.Context) error {
	if m.network == nil {
		return nil
	}
	if !m.network.holder.Alive() {
		if err := m.Kill(ctx); err != nil {
			return err
		}
	}
	return m.network.start(ctx)
}

// Kill kills every process of the member at once and waits until they are gone.
func (m *Member) Kill(ctx context.Context) error { return killAll(ctx, m.Processes()) }

// awaitUsable waits until the member runs pods.
func (m *Member) awaitUsable(ctx context.Context, client kubernetes.Interface) error {
	ports := m.layout.ports
	for _, c := range []struct {
		process *Process
		url     string
	}{
		{m.ControllerManager, httpsURL(ports.ControllerManager) + "/healthz"},
		{m.Scheduler, httpsURL(ports.Scheduler) + "/healthz"},
		{m.Kwok, httpsURL(ports.Kwok) + "/healthz"},
	} {
		if err := m.awaitHealthy(ctx, c.process, c.url); err != nil {
			return err
		}
	}
	err := m.ControllerManager.await(ctx, readyTimeout, func(ctx context.Context) error {
		return namespaceUsable(ctx, client)
	})
	if err != nil {
		return err
	}
	return m.Kwok.await(ctx, readyTimeout, func(ctx context.Context) error {
		return nodesUsable(ctx, client, m.layout.config.Nodes)
	})
}

// awaitHealthy waits until a component answers 200 at url.
func (m *Member) awaitHealthy(ctx context.Context, p *Process, url string) error {
	config, err := m.RESTConfig()
	if err != nil {
		return err
	}
	if m.network != nil {
		config.Dial = m.network.dial
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	return p.await(ctx, readyTimeout, func(ctx context.Context) error {
		return getOK(ctx, client, url)
	})
}

// plainHTTP is for servers without TLS on this machine.
var plainHTTP = &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}

// getOK asks for url and takes anything but 200 as an error.
func getOK(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// killAll kills processes side by side, then waits for each.
func killAll(ctx context.Context, processes []*Process) error {
	errs := make([]error, len(processes))
	done := make(chan struct{})
	for i, p := range processes {
		go func() {
			errs[i] = p.Kill(ctx)
			done <- struct{}{}
		}()
	}
	for range processes {
		<-done
	}
	return errors.Join(errs...)
}

// memberLayout is where a member keeps what, and the flags that follow from it.
type memberLayout struct {
	dir    string // of the bed
	number int    // of the member in its bed, from 1
	config MemberConfig
	ports  memberPorts
	etcd   string // client URL
	// fleetPort is the port of the bed's fleet, for a member that can only dial out.
	fleetPort int
}

// memberPorts are the ports a member listens on.
type memberPorts struct {
	APIServer         int `json:"apiServer"`
	ControllerManager int `json:"controllerManager"`
	Scheduler         int `json:"scheduler"`
	Kwok              int `json:"kwok"`
	// Door leads to the API server of a member that can only dial out.
	Door int `json:"door,omitempty"`
}

// listening are the ports that processes of the member itself listen on.
func (p memberPorts) listening() []int {
	return []int{p.APIServer, p.ControllerManager, p.Scheduler, p.Kwok}
}

func (l memberLayout) home() string       { return filepath.Join(l.dir, l.config.Name) }
func (l memberLayout) kubeconfig() string { return filepath.Join(l.dir, l.config.Name+".kubeconfig") }
func (l memberLayout) keys() memberKeys   { return memberKeys{filepath.Join(l.home(), "pki")} }
func (l memberLayout) etcdPrefix() string { return "/" + l.config.Name }
func (l memberLayout) kwokDir() string    { return filepath.Join(l.home(), kwok) }
func (l memberLayout) socketsDir() string { return filepath.Join(l.home(), "net") }

// componentKubeconfig is the file with which a component reaches the API server.
func (l memberLayout) componentKubeconfig(component string) string {
	return filepath.Join(l.home(), component+".kubeconfig")
}

// prepare writes keys, kubeconfigs and kwok's configuration.
func (l memberLayout) prepare(bin string, now time.Time) error {
	if err := os.MkdirAll(l.home(), 0o700); err != nil {
		return err
	}
	if err := l.keys().ensurePKI(l.firstServiceIP(), now); err != nil {
		return err
	}
	server := httpsURL(l.ports.APIServer)
	for file, user := range map[string]string{
		l.componentKubeconfig(controllerManager): controllerManagerUser,
		l.componentKubeconfig(scheduler):         schedulerUser,
		l.componentKubeconfig(kwok):              kwokUser,
	} {
		if err := writeKubeconfig(file, l.config.Name, server, user, l.keys()); err != nil {
			return err
		}
	}
	if l.config.DialsOut {
		server = httpsURL(l.ports.Door)
	}
	if err := writeKubeconfig(l.kubeconfig(), l.config.Name, server, adminUser, l.keys()); err != nil {
		return err
	}
	return l.writeKwokConfig(bin, now)
}

// writeKwokConfig writes kwok's configuration. Only root can run commands of Pods
// as somebody else, and not in a user namespace that knows one user.
func (l memberLayout) writeKwokConfig(bin string, now time.Time) error {
	root := os.Geteuid() == 0 && (!l.config.DialsOut || mayUnshare())
	return writeKwokConfig(l.kwokDir(), bin, stageValues{Member: l.config.Name, Root: root, PortForward: l.config.portForward()}, now)
}
