package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
	}
}

// fakeLatency is how long every answer of a fakeStore takes.
const fakeLatency = time.Millisecond

// fakeStore is a store in this process, for tests in whose bubbles time stands still while anybody is at work.
type fakeStore struct {
	mu       sync.Mutex
	sessions map[string][]byte
	ways     map[int]int // how often each was gone
	fail     error       // what all calls return, if not nil
}

func newFakeStore() *fakeStore {
	return &fakeStore{sessions: map[string][]byte{}, ways: map[int]int{}}
}

func (f *fakeStore) add(_ context.Context, way int, s session) error {
	time.Sleep(fakeLatency)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ways[way]++
	if f.fail != nil {
		return f.fail
	}
	if f.sessions[string(s.id)] != nil {
		return errExists
	}
	f.sessions[string(s.id)] = s.data
	return nil
}

func (f *fakeStore) get(_ context.Context, way int, id []byte) ([]byte, error) {
	time.Sleep(fakeLatency)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ways[way]++
	data := f.sessions[string(id)]
	switch {
	case f.fail != nil:
		return nil, f.fail
	case data == nil:
		return nil, errMissing
	}
	return data, nil
}

func (f *fakeStore) close() {}
