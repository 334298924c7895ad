// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package projection

import (
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage"
)

// A resource version is <etcd revision> <counter> <server>, from high bits to
// low ones. The counter is 0 for what happened in etcd, and counts what happened
// in members since that revision, as this server saw it.
const (
	serverBits    = 6
	counterBits   = 16
	revisionShift = counterBits + serverBits

	maxServer  = 1<<serverBits - 1
	maxCounter = 1<<counterBits - 1
)

// MaxServer is the highest number a server can have; the lowest is 1.
const MaxServer = maxServer

// versionAt is the resource version of a change.
func versionAt(revision, counter, server uint64) uint64 {
	return revision<<revisionShift | counter<<serverBits | server
}

// revisionOf is the etcd revision in a resource version.
func revisionOf(version uint64) uint64 { return version >> revisionShift }

// counterOf says how many changes in members came before, 0 for a change in etcd.
func counterOf(version uint64) uint64 { return version >> serverBits & maxCounter }

// serverOf is the server that gave the resource version, 0 for none.
func serverOf(version uint64) uint64 { return version & maxServer }

// versioner is upstream's, except that the version of a stored object is the same
// whichever server it was read from, so that it can be updated through any.
type versioner struct{ storage.APIObjectVersioner }

// ObjectResourceVersion implements storage.Versioner.
func (v versioner) ObjectResourceVersion(object runtime.Object) (uint64, error) {
	version, err := v.APIObjectVersioner.ObjectResourceVersion(object)
	if err == nil && counterOf(version) == 0 {
		version &^= maxServer
	}
	return version, err
}

// storedPrecondition is what a resource version in a precondition is in etcd. One
// that is not of a stored object becomes one that no object has.
func storedPrecondition(version string) string {
	parsed, err := strconv.ParseUint(version, 10, 64)
	if err != nil || counterOf(parsed) != 0 {
		return "-" + version
	}
	return strconv.FormatUint(revisionOf(parsed), 10)
}
