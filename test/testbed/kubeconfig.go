// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package testbed

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig writes a kubeconfig, with everything embedded, with which user
// reaches the server of a cluster called name.
func writeKubeconfig(file, name, server, user string, keys memberKeys) error {
	ca, err := os.ReadFile(keys.ca())
	if err != nil {
		return err
	}
	certFile, keyFile := keys.pair(user)
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[user+"@"+name] = &clientcmdapi.AuthInfo{ClientCertificateData: cert, ClientKeyData: key}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user + "@" + name}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", file, err)
	}
	return nil
}

// loadConfig reads a kubeconfig for a client without client-side rate limits:
// the servers have priority and fairness, and a test must not measure its client.
func loadConfig(file string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig %s: %w", file, err)
	}
	config.QPS = -1
	config.UserAgent = "fleet-testbed"
	return config, nil
}
