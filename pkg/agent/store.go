// Copyright The Fleet Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"sync"
)

// errReplaced says that somebody registered the member again.
var errReplaced = errors.New("the member was registered again")

// Credentials are all an agent has to know after a restart.
type Credentials struct {
	// Bootstrap is a kubeconfig with the address and the CA of the fleet, which
	// are used ever after, and a bootstrap token, which is used once. Empty before
	// the member is registered.
	Bootstrap []byte
	// Request is the name of the first certificate signing request and RequestKey
	// its private key in PEM, while it is not answered.
	Request    string
	RequestKey []byte
	// Certificate and Key are what the agent shows to the fleet, in PEM. Empty
	// before the fleet accepted the member.
	Certificate, Key []byte
	// Left says that the member has left the fleet and the agent is to be removed.
	Left bool
}

// Store keeps the credentials of one agent.
type Store interface {
	// Load returns what is stored; nothing stored is no error.
	Load(ctx context.Context) (Credentials, error)
	// Update applies change to what is stored at that moment. It may call change
	// several times. When change returns an error nothing is stored, and the
	// error is returned as it is.
	Update(ctx context.Context, change func(*Credentials) error) error
}

// MemoryStore is a Store that is gone with the process, for agents that are not
// to survive it.
type MemoryStore struct {
	mu     sync.Mutex
	stored Credentials
}

var _ Store = &MemoryStore{}

// NewMemoryStore returns a Store that holds credentials.
func NewMemoryStore(credentials Credentials) *MemoryStore {
	return &MemoryStore{stored: credentials}
}

// Load implements Store.
func (s *MemoryStore) Load(context.Context) (Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored, nil
}

// Update implements Store.
func (s *MemoryStore) Update(_ context.Context, change func(*Credentials) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.stored
	if err := change(&changed); err != nil {
		return err
	}
	s.stored = changed
	return nil
}
