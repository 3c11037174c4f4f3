package raftstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
)

// Session data are sealed where a request enters the store, and opened where a read leaves it. Everything between has
// ciphertext only: the log, the state file, snapshots, and what nodes tell each other. See package seal.

// namespaceSessions tells sessions from what else may be sealed with the same keys.
const namespaceSessions = 0

// sealSlack is how much later than this node thinks a session may come to expire: the leader's stamp decides.
const sealSlack = 15 * time.Second

// sealTick is how often the log's time is looked at for the end of an epoch.
const sealTick = time.Second

// seal seals the data of an Add into op.
func (s *core) seal(op *entry.Op, data []byte) error {
	now := s.node.Load().clock.read()
	if now == 0 { // nothing was heard of the log's time yet
		now = uint64(s.cfg.wallClock().UnixMilli())
	}
	expiry := now + uint64(op.Timeout) + uint64(sealSlack/time.Millisecond)
	sealed, err := s.keys.Seal(make([]byte, 0, len(data)+seal.Overhead), namespaceSessions, op.ID, data, expiry)
	op.Data, op.Sealed = sealed, true
	return err
}

// unseal gives a session's data as its client has stored them. What can't be opened is not there.
func (s *core) unseal(id []byte, d state.Data) ([]byte, error) {
	if !d.Sealed {
		return d.Bytes, nil
	}
	if s.keys == nil {
		s.unopened.Warn("a session is sealed, and this node has no seal key")
		return nil, wire.NotOK
	}
	data, err := s.keys.Open(nil, namespaceSessions, id, d.Bytes)
	if err != nil {
		if !errors.Is(err, seal.ErrForgotten) { // which may be: it is about to expire
			s.unopened.Warn("a session can't be opened", "error", err)
		}
		return nil, wire.NotOK
	}
	return data, nil
}

// openSeal reads the seal key, if there is one.
func (s *core) openSeal() (err error) {
	if s.cfg.Seal == "" {
		return nil
	}
	if s.keys, err = seal.Open(s.cfg.Seal); err != nil {
		return fmt.Errorf("seal key: %w", err)
	}
	for _, r := range s.keys.Rings() {
		s.log.Info("sessions are sealed", "ring", r.ID, "fingerprint", r.Fingerprint, "epoch", r.Epoch)
	}
	return nil
}

// watchSeal moves the keys on when the log's time has left an epoch.
func (s *core) watchSeal(ctx context.Context) {
	if s.keys == nil {
		return
	}
	t := time.NewTicker(sealTick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		n := s.node.Load()
		if n == nil {
			continue
		}
		stamp, _ := n.state.Clock()
		if err := s.keys.Advance(stamp); err != nil {
			s.unopened.Warn("keys whose time is over are still in the key file", "error", err)
		}
	}
}

// sealedBy are the rings of this node's key, each with its fingerprint; the newest is the last.
func (s *core) sealedBy() string {
	if s.keys == nil {
		return ""
	}
	var rings []string
	for _, r := range s.keys.Rings() {
		rings = append(rings, r.ID.String()+":"+r.Fingerprint)
	}
	return strings.Join(rings, " ")
}

// ReloadSeal reads the seal key again, in which rings may have been added or dropped.
func (s *Store) ReloadSeal() error {
	if s.keys == nil {
		return nil
	}
	return s.keys.Reload()
}

// A SealRing is what may be told of a ring of keys.
type SealRing = seal.RingInfo

// CreateSealKey makes a key file with one ring, whose epochs have a length.
func CreateSealKey(path string, epoch time.Duration) (SealRing, error) {
	return seal.Create(path, epoch, time.Now())
}

// AddSealRing adds a ring to a key file. It seals what is added from then on.
func AddSealRing(path string, epoch time.Duration) (SealRing, error) {
	return seal.Add(path, epoch, time.Now())
}

// DropSealRing removes a ring from a key file. What it has sealed can't be opened any more.
func DropSealRing(path, ring string) error {
	id, err := seal.ParseRing(ring)
	if err != nil {
		return err
	}
	return seal.Drop(path, id)
}

// ShowSealKey tells what may be told of a key file.
func ShowSealKey(path string) ([]SealRing, error) { return seal.Show(path) }
