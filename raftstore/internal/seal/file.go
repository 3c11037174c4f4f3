package seal

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/distcache/distcache/raftstore/internal/files"
)

// The bounds of an epoch.
const (
	DefaultEpoch = time.Hour
	MinEpoch     = time.Minute
	MaxEpoch     = 24 * time.Hour
)

const (
	maxFile  = 16 << 10
	maxRings = 8
	title    = "distcache seal key 1"
)

// A ring is a ring as the key file has it. The newest is the last in the file, and seals.
//
//	distcache seal key 1
//	ring 0123456789abcdef epoch 3600s at 495123 root BASE64 chain BASE64
//	sum BASE64
type ring struct {
	id     RingID
	length uint64 // of an epoch, ms
	epoch  uint64 // of chain: the number of epochs since 1970
	*secret
}

// A secret is a ring's keys.
type secret struct {
	root  key // of what does not change with the epoch
	chain key // of the epoch
}

// A RingInfo is what may be told of a ring.
type RingInfo struct {
	ID          RingID
	Fingerprint string
	Epoch       time.Duration
	Until       time.Time // when the present epoch is over
}

func (r *ring) info() RingInfo {
	return RingInfo{r.id, fingerprint(r.root[:], r.id), time.Duration(r.length) * time.Millisecond,
		time.UnixMilli(int64((r.epoch + 1) * r.length)).UTC()}
}

func newRing(epoch time.Duration, now time.Time) (*ring, error) {
	if epoch < MinEpoch || epoch > MaxEpoch || epoch%time.Second != 0 {
		return nil, fmt.Errorf("an epoch takes %v to %v, in whole seconds, not %v", MinEpoch, MaxEpoch, epoch)
	}
	r := &ring{length: uint64(epoch / time.Millisecond), secret: newSecret()}
	r.epoch = uint64(now.UnixMilli()) / r.length
	for _, b := range [][]byte{r.id[:], r.root[:], r.chain[:]} {
		rand.Read(b)
	}
	return r, nil
}

// step moves the chain to an epoch, if that is later.
func (r *ring) step(epoch uint64) {
	for ; r.epoch < epoch; r.epoch++ {
		r.chain = derive(r.chain[:], "chain", r.id)
	}
}

// wipe forgets the keys. It may be called twice.
func (r *ring) wipe() {
	if r.secret != nil {
		clear(r.root[:])
		clear(r.chain[:])
		r.secret.free()
		r.secret = nil
	}
}

func encode(rings []*ring) []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, title)
	for _, r := range rings {
		fmt.Fprintf(&b, "ring %s epoch %ds at %d root %s chain %s\n", r.id, r.length/1000, r.epoch,
			base64.StdEncoding.EncodeToString(r.root[:]), base64.StdEncoding.EncodeToString(r.chain[:]))
	}
	sum := sha256.Sum256(b.Bytes())
	fmt.Fprintf(&b, "sum %s\n", base64.StdEncoding.EncodeToString(sum[:12]))
	return b.Bytes()
}

func decode(b []byte) (rings []*ring, err error) {
	body, last, ok := bytes.Cut(b, []byte("\nsum "))
	body = append(bytes.Clone(body), '\n')
	sum := sha256.Sum256(body)
	if !ok || string(last) != base64.StdEncoding.EncodeToString(sum[:12])+"\n" {
		return nil, errors.New("it is no seal key, or was damaged: its sum is wrong")
	}
	in := bufio.NewScanner(bytes.NewReader(body))
	if !in.Scan() || in.Text() != title {
		return nil, fmt.Errorf("it does not begin with %q: another version's", title)
	}
	for in.Scan() {
		r := &ring{secret: newSecret()}
		var id, root, chain string
		n, err := fmt.Sscanf(in.Text(), "ring %s epoch %ds at %d root %s chain %s", &id, &r.length, &r.epoch, &root, &chain)
		if err != nil || n != 5 {
			return nil, errors.New("a line is malformed")
		}
		if r.id, err = ParseRing(id); err != nil {
			return nil, err
		}
		if r.length < uint64(MinEpoch/time.Second) || r.length > uint64(MaxEpoch/time.Second) || r.epoch > maxEnd/r.length/1000 {
			return nil, errors.New("an epoch is out of range")
		}
		r.length *= 1000
		if !decodeKey(&r.root, root) || !decodeKey(&r.chain, chain) {
			return nil, errors.New("a key is malformed")
		}
		for _, other := range rings {
			if other.id == r.id {
				return nil, fmt.Errorf("the ring %s is there twice", r.id)
			}
		}
		rings = append(rings, r)
	}
	if len(rings) == 0 || len(rings) > maxRings {
		return nil, fmt.Errorf("it has %d rings", len(rings))
	}
	return rings, nil
}

func decodeKey(k *key, s string) bool {
	b, err := base64.StdEncoding.DecodeString(s)
	defer clear(b)
	return err == nil && copy(k[:], b) == keySize && len(b) == keySize
}

// newSuffix is that of the file which takes a key file's place.
const newSuffix = ".new"

// load reads a key file that nobody else can read. After a crash of store it may be the new file that has the keys.
func load(path string) ([]*ring, error) {
	rings, err := loadOne(path)
	if err != nil {
		if next, err := loadOne(path + newSuffix); err == nil {
			return next, nil
		}
	}
	return rings, err
}

// loadLocked is load for who may write the file. If a crash has left the keys in the new file only, that takes its place
// first.
func loadLocked(path string) ([]*ring, error) {
	rings, err := loadOne(path)
	if err == nil {
		return rings, nil
	}
	if rings, err := loadOne(path + newSuffix); err == nil {
		return rings, errors.Join(os.Rename(path+newSuffix, path), files.SyncDir(filepath.Dir(path)))
	}
	return nil, err
}

func loadOne(path string) ([]*ring, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := fi.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read or changed by others (mode %04o): a seal key needs mode 0600", path, mode)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	defer clear(b)
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s is too long for a seal key", path)
	}
	rings, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return rings, nil
}

// store writes a key file in the place of the one that is there, with the same owner, and overwrites that one's bytes
// before. After a crash at any moment one of the two files has the keys: see load.
func store(path string, rings []*ring) error {
	b := encode(rings)
	defer clear(b)
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if old != nil {
		defer old.Close()
	}
	if err := wipeAt(path + newSuffix); err != nil { // which a crash has left
		return err
	}
	next, err := os.OpenFile(path+newSuffix, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = next.Write(b)
	if err == nil && old != nil {
		err = sameOwner(next, old)
	}
	if err = errors.Join(err, next.Sync(), next.Close()); err != nil {
		return err
	}
	if err := files.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if old != nil {
		if err := wipe(old); err != nil {
			return err
		}
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(path))
}

// wipe overwrites a file.
func wipe(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(make([]byte, fi.Size()), 0); err != nil {
		return err
	}
	return f.Sync()
}

// wipeAt overwrites and removes a file, if it is there.
func wipeAt(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(wipe(f), f.Close(), os.Remove(path))
}

// update changes a key file while no other process does.
func update(path string, change func([]*ring) ([]*ring, error)) error {
	unlock, err := lock(path)
	if err != nil {
		return err
	}
	defer unlock()
	rings, err := loadLocked(path)
	if err != nil {
		return err
	}
	changed, err := change(rings)
	if err == nil {
		err = store(path, changed)
	}
	for _, r := range append(rings, changed...) {
		r.wipe()
	}
	return err
}

// Create makes a key file with one ring. It overwrites nothing.
func Create(path string, epoch time.Duration, now time.Time) (RingInfo, error) {
	if _, err := os.Lstat(path); err == nil {
		return RingInfo{}, fmt.Errorf("%s: %w", path, os.ErrExist)
	}
	r, err := newRing(epoch, now)
	if err != nil {
		return RingInfo{}, err
	}
	defer r.wipe()
	return r.info(), store(path, []*ring{r})
}

// Add adds a new ring to a key file: from then on it seals.
func Add(path string, epoch time.Duration, now time.Time) (RingInfo, error) {
	r, err := newRing(epoch, now)
	if err != nil {
		return RingInfo{}, err
	}
	info := r.info()
	return info, update(path, func(rings []*ring) ([]*ring, error) {
		if len(rings) == maxRings {
			return nil, fmt.Errorf("%s has %d rings already: drop one first", path, maxRings)
		}
		return append(rings, r), nil
	})
}

// Drop removes a ring from a key file. What it has sealed can't be opened any more.
func Drop(path string, id RingID) error {
	return update(path, func(rings []*ring) ([]*ring, error) {
		var left []*ring
		for _, r := range rings {
			if r.id != id {
				left = append(left, r)
			}
		}
		switch {
		case len(left) == len(rings):
			return nil, fmt.Errorf("%s has no ring %s", path, id)
		case len(left) == 0:
			return nil, fmt.Errorf("%s is the only ring in %s", id, path)
		}
		return left, nil
	})
}

// Show tells what may be told of the rings in a key file.
func Show(path string) (infos []RingInfo, err error) {
	rings, err := load(path)
	if err != nil {
		return nil, err
	}
	for _, r := range rings {
		infos = append(infos, r.info())
		r.wipe()
	}
	return infos, nil
}
