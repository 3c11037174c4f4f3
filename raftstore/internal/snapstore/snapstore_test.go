package snapstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

func live(content string) Live {
	return func() (int64, io.ReadCloser, error) {
		return int64(len(content)), io.NopCloser(strings.NewReader(content)), nil
	}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, live("live"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var configuration = raft.Configuration{Servers: []raft.Server{{ID: "n1", Address: "127.0.0.1:1"}}}

func create(t *testing.T, s *Store, index uint64) *Sink {
	t.Helper()
	k, err := s.Create(1, index, 2, configuration, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k.(*Sink)
}

func receive(t *testing.T, s *Store, index uint64, content string) {
	t.Helper()
	k := create(t, s, index)
	if _, err := io.Copy(k, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
}

// content opens the newest snapshot, which must be at the index.
func content(t *testing.T, s *Store, index uint64) string {
	t.Helper()
	metas, err := s.List()
	if err != nil || len(metas) != 1 || metas[0].Index != index {
		t.Fatalf("list: %v, %v", metas, err)
	}
	m, r, err := s.Open(metas[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || m.Size != int64(len(b)) || len(m.Configuration.Servers) != 1 || m.Term != 2 {
		t.Fatalf("open: %+v, %d bytes, %v", m, len(b), err)
	}
	return string(b)
}

func TestOwnSnapshotIsTheLiveFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if metas, err := s.List(); err != nil || len(metas) != 0 {
		t.Fatalf("an empty store lists %v, %v", metas, err)
	}
	k := create(t, s, 7)
	k.Own()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := content(t, s, 7); got != "live" {
			t.Fatalf("its bytes are %q", got)
		}
		s = open(t, dir)
	}
}

func TestReceivedSnapshotKeepsItsBytesUntilInstalled(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	receive(t, s, 9, "received")
	for range 2 {
		if got := content(t, s, 9); got != "received" {
			t.Fatalf("its bytes are %q", got)
		}
		if s.Pending() == "" {
			t.Fatal("it is not pending")
		}
		s = open(t, dir)
	}
	k := create(t, s, 10)
	k.Own()
	if err := k.Close(); err == nil {
		t.Fatal("an own snapshot took the place of a received one that was not installed")
	}
	if err := s.Installed(9); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := content(t, s, 9); got != "live" || s.Pending() != "" {
			t.Fatalf("its bytes are %q, pending %q", got, s.Pending())
		}
		s = open(t, dir)
	}
}

// A snapshot of this node's own that was begun before another node's came is not the newest one, however late it ends.
func TestOwnSnapshotIsOvertaken(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	k := create(t, s, 7)
	receive(t, s, 9, "received")
	if err := s.Installed(12); err != nil {
		t.Fatal(err)
	}
	k.Own()
	if err := k.Close(); err == nil {
		t.Error("it took the place of a newer one")
	}
	for range 2 {
		if got := content(t, s, 9); got != "live" || s.Ahead() != 12 {
			t.Fatalf("its bytes are %q, ahead %d", got, s.Ahead())
		}
		s = open(t, dir)
	}
	k = create(t, s, 9) // nothing has been applied since
	k.Own()
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCanceledAndInterrupted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	receive(t, s, 3, "first")
	k := create(t, s, 4)
	if _, err := k.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := k.Cancel(); err != nil {
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal("close after cancel:", err)
	}
	k = create(t, s, 5) // the process dies here, in the middle
	if _, err := k.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if got := content(t, s, 3); got != "first" {
		t.Fatalf("its bytes are %q", got)
	}
	if _, err := os.Stat(filepath.Join(dir, incomingFile)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("what was interrupted is still there: %v", err)
	}
	if err := create(t, s, 6).Close(); err == nil {
		t.Fatal("an empty snapshot was taken")
	}
}

// A received snapshot whose bytes can't be put in place, or whose record can't be written, is not there: the one before
// still is.
func TestFailedClose(t *testing.T) {
	for _, inTheWay := range []string{receivedFile, metaFile + ".new"} {
		dir := t.TempDir()
		s := open(t, dir)
		k := create(t, s, 3)
		k.Own()
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, inTheWay, "directory"), 0o700); err != nil {
			t.Fatal(err)
		}
		k = create(t, s, 9)
		if _, err := k.Write([]byte("received")); err != nil {
			t.Fatal(err)
		}
		if err := k.Close(); err == nil {
			t.Errorf("%s could not be written, and nobody heard of it", inTheWay)
		}
		if got := content(t, s, 3); got != "live" || s.Pending() != "" {
			t.Errorf("%s could not be written: the newest snapshot's bytes are %q, pending %q", inTheWay, got, s.Pending())
		}
		if err := os.RemoveAll(filepath.Join(dir, inTheWay)); err != nil {
			t.Fatal(err)
		}
		if got := content(t, open(t, dir), 3); got != "live" {
			t.Errorf("%s could not be written: after opening again the newest snapshot's bytes are %q", inTheWay, got)
		}
	}
}

func TestDamagedRecord(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("{"), []byte(`{"meta":{}}`), bytes.Repeat([]byte{0}, 100)} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, metaFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, live("")); err == nil {
			t.Errorf("%q was taken for a record", b)
		}
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	s := open(t, dir)
	receive(t, s, 1, "secret")
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, fi.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
