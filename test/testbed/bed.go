// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

var (
	// ErrBusy says that another program has the bed open.
	ErrBusy = errors.New("another program manages this test bed")

	errNotBuilt = errors.New("not built, run: make binaries")
)

// Config says where a bed lives.
type Config struct {
	// Dir holds everything of the bed and is created when missing. Required.
	Dir string
	// Bin is the directory with the programs. Required.
	Bin string
	// Detached lets processes outlive the program that starts them.
	Detached bool
	// Report receives one line per step that took time; nil drops them. It is
	// called from several goroutines.
	Report func(line string)
	// Now is the clock that dates certificates, time.Now when nil.
	Now func() time.Time
}

// Bed is a directory with an etcd, members and a fleet. Open makes one.
type Bed struct {
	cfg  Config
	lock *os.File
	etcd *Process

	// mu guards what follows. It is not held while processes start.
	mu      sync.Mutex
	state   state
	members []*Member
	fleet   *Fleet
}

// Open creates a bed or, where the directory holds one, adopts its processes.
// It starts nothing. It fails with ErrBusy while another program has it open.
func Open(ctx context.Context, cfg Config) (*Bed, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Dir = dir
	if cfg.Bin, err = filepath.Abs(cfg.Bin); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Report == nil {
		cfg.Report = func(string) {}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	b := &Bed{cfg: cfg, lock: lock}
	if err := b.adopt(ctx); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return b, nil
}

// OpenEmpty opens a bed like Open after removing what an earlier one left in the
// directory, processes included.
func OpenEmpty(ctx context.Context, cfg Config) (*Bed, error) {
	b, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := b.Destroy(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return Open(ctx, cfg)
}

const lockFile = "lock"

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), f.Close())
	}
	return f, nil
}

// adopt rebuilds the bed from its state, which a new bed gets here.
func (b *Bed) adopt(ctx context.Context) error {
	s, err := loadState(b.cfg.Dir)
	if err != nil {
		return err
	}
	if s.Etcd.Client == 0 {
		ports, err := freePorts(ctx, 2, nil)
		if err != nil {
			return err
		}
		s.Etcd = etcdPorts{Client: ports[0], Peer: ports[1]}
	}
	b.state = s
	b.etcd = b.process("etcd", filepath.Join(b.cfg.Bin, "etcd"), b.etcdFlags())
	for i, m := range s.Members {
		b.members = append(b.members, b.member(i+1, m))
	}
	if s.Fleet != nil {
		b.fleet = b.newFleet(*s.Fleet)
	}
	return nil
}

// Close lets go of the bed. Detached processes keep running; others run until
// this program ends or Stop.
func (b *Bed) Close() error { return b.lock.Close() }

// Stop kills every process of the bed and waits until they are gone. Data stays:
// starting again continues where it was.
func (b *Bed) Stop(ctx context.Context) error { return killAll(ctx, b.Processes()) }

// Destroy stops the bed, removes everything of it from its directory, the
// directory too unless it holds something else, and closes it.
func (b *Bed) Destroy(ctx context.Context) error {
	if err := b.Stop(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	names := []string{"etcd", "etcd.sock", "logs", fleetName, fleetName + ".kubeconfig", stateFile, lockFile}
	for _, m := range b.members {
		names = append(names, m.Name(), m.Name()+".kubeconfig")
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, os.RemoveAll(filepath.Join(b.cfg.Dir, name)))
	}
	if err := os.Remove(b.cfg.Dir); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, b.Close())...)
}

// Processes are all processes of the bed, running or not, in start order.
func (b *Bed) Processes() []*Process {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []*Process{b.etcd}
	for _, m := range b.members {
		out = append(out, m.Processes()...)
	}
	if b.fleet != nil {
		out = append(out, b.fleet.Process)
	}
	return out
}

// Members are the members of the bed in the order of their creation.
func (b *Bed) Members() []*Member {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*Member(nil), b.members...)
}

// Fleet is the fleet of the bed, nil before the first StartFleet.
func (b *Bed) Fleet() *Fleet {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fleet
}

// Etcd is the process that the members store in.
func (b *Bed) Etcd() *Process { return b.etcd }

// EtcdEndpoint is the client URL of the members' etcd. See Member.EtcdPrefix.
func (b *Bed) EtcdEndpoint() string { return httpURL(b.state.Etcd.Client) }

// StartMember starts a member, creating it when the bed has none of that name,
// and waits until it runs pods. A member that exists keeps its configuration.
// Members may be started side by side.
func (b *Bed) StartMember(ctx context.Context, c MemberConfig) (*Member, error) {
	m, err := b.ensureMember(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := b.startEtcd(ctx); err != nil {
		return nil, err
	}
	return m, m.Start(ctx)
}

// StartMembers starts members side by side and returns them in the given order.
func (b *Bed) StartMembers(ctx context.Context, configs ...MemberConfig) ([]*Member, error) {
	members := make([]*Member, len(configs))
	for i, c := range configs {
		m, err := b.ensureMember(ctx, c)
		if err != nil {
			return nil, err
		}
		members[i] = m
	}
	if err := b.startEtcd(ctx); err != nil {
		return nil, err
	}
	errs := make([]error, len(members))
	var group sync.WaitGroup
	for i, m := range members {
		group.Go(func() { errs[i] = m.Start(ctx) })
	}
	group.Wait()
	return members, errors.Join(errs...)
}

// ensureMember finds the member or adds it to the bed's state.
func (b *Bed) ensureMember(ctx context.Context, c MemberConfig) (*Member, error) {
	if errs := validation.IsDNS1123Label(c.Name); len(errs) > 0 || reserved[c.Name] {
		return nil, fmt.Errorf("add member %q: not a usable name: %s", c.Name, strings.Join(errs, ", "))
	}
	if _, err := os.Stat(filepath.Join(b.cfg.Bin, apiServer)); err != nil {
		return nil, fmt.Errorf("find %s in %s: %w", apiServer, b.cfg.Bin, errNotBuilt)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.members {
		if m.Name() == c.Name {
			return m, nil
		}
	}
	ports, err := freePorts(ctx, 5, b.state.ports())
	if err != nil {
		return nil, err
	}
	number := len(b.members) + 1
	s := memberState{
		MemberConfig: c.withDefaults(number),
		Ports:        memberPorts{APIServer: ports[0], ControllerManager: ports[1], Scheduler: ports[2], Kwok: ports[3]},
	}
	if c.DialsOut {
		s.Ports.Door = ports[4]
		if s.FleetPort, err = b.fleetPort(ctx); err != nil {
			return nil, err
		}
	}
	b.state.Members = append(b.state.Members, s)
	if err := b.state.save(b.cfg.Dir); err != nil {
		return nil, err
	}
	m := b.member(number, s)
	b.members = append(b.members, m)
	return m, nil
}

// reserved are names in a bed's directory that no member may have.
var reserved = map[string]bool{"etcd": true, "logs": true, fleetName: true}

// member makes the handle of a member. Callers hold b.mu or own b.
func (b *Bed) member(number int, s memberState) *Member {
	layout := memberLayout{
		dir: b.cfg.Dir, number: number, config: s.MemberConfig, ports: s.Ports, etcd: httpURL(b.state.Etcd.Client),
	}
	m := &Member{bed: b}
	if s.DialsOut {
		layout.etcd, layout.fleetPort = b.etcdSocket(), s.FleetPort
		m.network = b.newNetwork(layout)
	}
	m.layout = layout
	controlPlane := b.cfg.Bin
	if s.Bin != "" {
		controlPlane = s.Bin
	}
	component := func(bin, name string) *Process {
		p := b.process(s.Name+"/"+name, filepath.Join(bin, name), layout.flags(name))
		if m.network != nil {
			p.within = m.network.holder
		}
		return p
	}
	m.APIServer = component(controlPlane, apiServer)
	m.ControllerManager = component(controlPlane, controllerManager)
	m.Scheduler = component(controlPlane, scheduler)
	m.Kwok = component(b.cfg.Bin, kwok)
	if m.network != nil {
		m.Agent = b.newAgent(layout, m.network)
	}
	return m
}

// process makes the handle of a process, adopted if the state knows it.
func (b *Bed) process(name, path string, args []string) *Process {
	return &Process{
		name:     name,
		path:     path,
		args:     args,
		logFile:  filepath.Join(b.cfg.Dir, "logs", strings.ReplaceAll(name, "/", "-")+".log"),
		detached: b.cfg.Detached,
		started:  b.record,
		id:       b.state.Processes[name],
	}
}

// record remembers the identity of a new process.
func (b *Bed) record(name string, id identity) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Processes[name] = id
	return b.state.save(b.cfg.Dir)
}

// startEtcd starts the members' etcd unless it runs and waits until it serves.
func (b *Bed) startEtcd(ctx context.Context) error {
	if err := b.etcd.Start(ctx); err != nil {
		return err
	}
	return b.etcd.await(ctx, readyTimeout, func(ctx context.Context) error {
		return getOK(ctx, plainHTTP, b.EtcdEndpoint()+"/readyz")
	})
}

// etcdSocket is the client URL of etcd for members in networks of their own.
func (b *Bed) etcdSocket() string { return "unix://" + filepath.Join(b.cfg.Dir, "etcd.sock") }

func (b *Bed) etcdFlags() []string {
	client, peer := httpURL(b.state.Etcd.Client), httpURL(b.state.Etcd.Peer)
	return []string{
		"--name=testbed",
		"--data-dir=" + filepath.Join(b.cfg.Dir, "etcd"),
		"--listen-client-urls=" + client + "," + b.etcdSocket(),
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=testbed=" + peer,
		"--quota-backend-bytes=" + strconv.Itoa(8<<30),
		"--log-level=warn",
		"--unsafe-no-fsync",
	}
}
