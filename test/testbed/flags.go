// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

// rangesPerBed is how many members of a bed have address ranges of their own;
// nothing routes to the addresses, so later members may share.
const rangesPerBed = 60

// serviceRange and podRange keep members apart, as a user would who plans to
// connect their networks.
func (l memberLayout) serviceRange() string {
	return fmt.Sprintf("10.%d.0.0/16", 1+(l.number-1)%rangesPerBed)
}

func (l memberLayout) podRange() string {
	return fmt.Sprintf("10.%d.0.1/16", 101+(l.number-1)%rangesPerBed)
}

func (l memberLayout) firstServiceIP() net.IP {
	ip, _, _ := net.ParseCIDR(l.serviceRange())
	ip = ip.To4()
	ip[3]++
	return ip
}

// flags are the flags of one of the member's components.
func (l memberLayout) flags(component string) []string {
	var out []string
	switch component {
	case apiServer:
		out = l.apiServerFlags()
	case controllerManager:
		out = l.controllerManagerFlags()
	case scheduler:
		out = l.schedulerFlags()
	case kwok:
		out = l.kwokFlags()
	}
	return append(out, l.config.Flags[component]...)
}

func (l memberLayout) apiServerFlags() []string {
	keys := l.keys()
	serverCert, serverKey := keys.pair("server")
	proxyCert, proxyKey := keys.pair(frontProxyUser)
	kubeletCert, kubeletKey := keys.pair(kubeletClientUser)
	out := []string{
		"--etcd-servers=" + l.etcd,
		"--etcd-prefix=" + l.etcdPrefix(),
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(l.ports.APIServer),
		"--tls-cert-file=" + serverCert,
		"--tls-private-key-file=" + serverKey,
		"--client-ca-file=" + keys.ca(),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + keys.file("sa.pub"),
		"--service-account-signing-key-file=" + keys.file("sa.key"),
		"--service-cluster-ip-range=" + l.serviceRange(),
		"--endpoint-reconciler-type=none",
		"--requestheader-client-ca-file=" + keys.file("front-proxy-ca.crt"),
		"--requestheader-allowed-names=" + frontProxyUser,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + proxyCert,
		"--proxy-client-key-file=" + proxyKey,
		"--kubelet-certificate-authority=" + keys.ca(),
		"--kubelet-client-certificate=" + kubeletCert,
		"--kubelet-client-key=" + kubeletKey,
		"--kubelet-preferred-address-types=InternalIP",
	}
	if l.config.DialsOut {
		// Where there is no route to anywhere it finds no address of its own.
		out = append(out, "--advertise-address="+unroutedAddress)
	}
	return out
}

// unroutedAddress is an address for documentation (RFC 5737).
const unroutedAddress = "192.0.2.1"

// clientLimits lift the client-side rate limits of controllers: members must not
// be what a benchmark of the fleet measures.
func clientLimits() []string {
	return []string{"--kube-api-qps=500", "--kube-api-burst=1000"}
}

// serving are the flags of a control plane component that serves health and metrics.
func (l memberLayout) serving(component string, port int) []string {
	serverCert, serverKey := l.keys().pair("server")
	kubeconfig := l.componentKubeconfig(component)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + loopback,
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + serverCert,
		"--tls-private-key-file=" + serverKey,
		"--leader-elect=false",
	}
}

func (l memberLayout) controllerManagerFlags() []string {
	keys := l.keys()
	out := append(l.serving(controllerManager, l.ports.ControllerManager), clientLimits()...)
	return append(out,
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+keys.file("sa.key"),
		"--root-ca-file="+keys.ca(),
		"--cluster-signing-cert-file="+keys.ca(),
		"--cluster-signing-key-file="+keys.caKey(),
		"--service-cluster-ip-range="+l.serviceRange(),
	)
}

func (l memberLayout) schedulerFlags() []string {
	return append(l.serving(scheduler, l.ports.Scheduler), clientLimits()...)
}

func (l memberLayout) kwokFlags() []string {
	serverCert, serverKey := l.keys().pair("kubelet-server")
	port := strconv.Itoa(l.ports.Kwok)
	return []string{
		"--kubeconfig=" + l.componentKubeconfig(kwok),
		"--config=" + filepath.Join(l.kwokDir(), kwokConfigFile),
		"--manage-all-nodes=true",
		"--node-ip=" + loopback,
		"--node-port=" + port,
		"--server-address=" + net.JoinHostPort(loopback, port),
		"--tls-cert-file=" + serverCert,
		"--tls-private-key-file=" + serverKey,
		"--cidr=" + l.podRange(),
		"--node-lease-duration-seconds=40",
	}
}
