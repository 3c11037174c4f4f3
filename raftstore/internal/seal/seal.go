package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

const (
	version    = 1
	headerSize = 1 + 8 + 8
	nonceSize  = 12
	tagSize    = 16

	// Overhead is how much longer sealed data are.
	Overhead = headerSize + nonceSize + tagSize
)

// maxEnd is the latest end of an epoch, in ms since 1970: far beyond any time, so that sums with it don't overflow.
const maxEnd = 1 << 53

// maxAhead bounds how far in the future an epoch may be whose key is derived: sessions live for a week at most.
const maxAhead = 8 * 24 * time.Hour

// maxSteps bounds how far [Keys.Advance] moves a chain at once.
const maxSteps = 10 * 366 * 24 * 60 // ten years of the shortest epochs

// Errors of Open, Seal and Covers.
var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("the keys are closed")
	// ErrNoKey is returned for data that were sealed with a ring that is not in the key file.
	ErrNoKey = errors.New("sealed with another ring of keys")
	// ErrForgotten is returned for data whose epoch is over.
	ErrForgotten = errors.New("sealed under a key that is not kept any more, since its time is over")
	// ErrDamaged is returned for data that are not as they were sealed, or not for that id.
	ErrDamaged = errors.New("sealed data are not as they were sealed")
	// ErrFormat is returned for what is no sealed data.
	ErrFormat = errors.New("not sealed data that this program can read")
)

// Keys seal and open data. Any number of goroutines may use them.
type Keys struct {
	path string

	file  sync.Mutex // held while the file is read or written
	mu    sync.RWMutex
	rings []*ringKeys // the newest is the last
	now   uint64      // the log's time of the last Advance, ms
	stale bool        // the file has keys that memory has not any more; with file
}

// ringKeys are a ring with what follows from its keys and is in use.
type ringKeys struct {
	*ring
	mu      sync.RWMutex
	ciphers map[uint64]cipher.AEAD // by epoch
	marks   map[uint64]key         // chain keys of some epochs to come, from which others are derived
}

const (
	// maxCiphers bounds the ciphers that a ring keeps.
	maxCiphers = 1 << 14
	// markEvery is the number of epochs from one mark to the next.
	markEvery = 64
)

func newRingKeys(r *ring) *ringKeys {
	return &ringKeys{ring: r, ciphers: make(map[uint64]cipher.AEAD), marks: make(map[uint64]key)}
}

// Open reads a key file. It writes the file anew, so that one that can't be replaced is found at the start.
func Open(path string) (*Keys, error) {
	real, err := filepath.EvalSymlinks(path) // what a link leads to is to be replaced, not the link
	if err != nil {
		return nil, err
	}
	k := &Keys{path: real}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Reload reads the key file again, in which rings may have been added or dropped, or which may be an older copy. The file
// says which rings there are, memory which epochs are over.
func (k *Keys) Reload() error {
	k.file.Lock()
	defer k.file.Unlock()
	return k.refresh()
}

// refresh takes over the file's rings and writes them as they are now. Called with file held.
func (k *Keys) refresh() error {
	unlock, err := lock(k.path)
	if err != nil {
		return err
	}
	defer unlock()
	rings, err := loadLocked(k.path)
	if err != nil {
		return err
	}
	if err := k.adopt(rings); err != nil {
		return err
	}
	if err := store(k.path, k.present()); err != nil {
		return fmt.Errorf("the seal key can't be replaced, as it has to be in each epoch: %w", err)
	}
	k.stale = false
	return nil
}

// adopt takes over the rings of a file. Those that are known keep what is in use of them.
func (k *Keys) adopt(rings []*ring) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := make(map[RingID]*ringKeys)
	for _, r := range k.rings {
		known[r.id] = r
	}
	for _, r := range rings {
		if old := known[r.id]; old != nil && old.root != r.root {
			return fmt.Errorf("the ring %s has other keys than before", r.id)
		}
		if err := r.advance(k.now); err != nil {
			return err
		}
	}
	var list []*ringKeys
	for _, r := range rings {
		old := known[r.id]
		if old == nil {
			list = append(list, newRingKeys(r))
			continue
		}
		delete(known, r.id)
		old.forget(r.epoch)
		r.wipe()
		list = append(list, old)
	}
	for _, r := range known { // which are not in the file any more
		r.wipe()
	}
	k.rings = list
	return nil
}

// forget moves the ring on to an epoch. Called with the Keys' mu held for writing.
func (r *ringKeys) forget(epoch uint64) {
	if epoch <= r.epoch {
		return
	}
	r.step(epoch)
	for e := range r.ciphers {
		if e < epoch {
			delete(r.ciphers, e)
		}
	}
	for e := range r.marks {
		if e < epoch {
			r.marks[e] = key{}
			delete(r.marks, e)
		}
	}
}

// present are the rings as they are now. Called with file held, without which nobody changes them.
func (k *Keys) present() (rings []*ring) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, r := range k.rings {
		rings = append(rings, r.ring)
	}
	return rings
}

// Rings tells what may be told of the rings, the newest last.
func (k *Keys) Rings() (infos []RingInfo) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, r := range k.rings {
		infos = append(infos, r.info())
	}
	return infos
}

// check refuses a time that no clock should show.
func (r *ring) check(now uint64) error {
	if epoch := now / r.length; epoch > r.epoch && epoch-r.epoch > maxSteps {
		return fmt.Errorf("the log's time is %s, more than ten years after the seal key's epoch: a clock is wrong, or was",
			time.UnixMilli(int64(min(now, maxEnd))).UTC().Format(time.RFC3339))
	}
	return nil
}

func (r *ring) advance(now uint64) error {
	if err := r.check(now); err != nil {
		return err
	}
	r.step(now / r.length)
	return nil
}

// Advance moves the keys on to the log's time, in ms since 1970, and overwrites those of epochs that are over. It waits
// for the disk when an epoch has ended.
func (k *Keys) Advance(now uint64) error {
	k.file.Lock()
	defer k.file.Unlock()
	moved, err := k.advance(now)
	if k.stale = k.stale || moved; err != nil || !k.stale {
		return err
	}
	return k.refresh()
}

func (k *Keys) advance(now uint64) (moved bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.rings {
		if err := r.check(now); err != nil {
			return false, err
		}
	}
	k.now = max(k.now, now)
	for _, r := range k.rings {
		before := r.epoch
		r.forget(now / r.length)
		moved = moved || r.epoch != before
	}
	return moved, nil
}

// Due tells whether an epoch ends between two times, in ms since 1970.
func (k *Keys) Due(before, now uint64) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, r := range k.rings {
		if now/r.length > before/r.length {
			return true
		}
	}
	return false
}

// Seal appends data, sealed, to dst. expiry is when the session expires at the latest, in ms since 1970.
func (k *Keys) Seal(dst []byte, namespace byte, id, data []byte, expiry uint64) ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if len(k.rings) == 0 {
		return dst, ErrClosed
	}
	r := k.rings[len(k.rings)-1]
	epoch := max(expiry/r.length, r.epoch)
	a, err := r.cipher(epoch)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, version)
	dst = append(dst, r.id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, (epoch+1)*r.length)
	var nonce [nonceSize]byte
	rand.Read(nonce[:])
	dst = append(dst, nonce[:]...)
	var extra [headerSize + 1 + 256]byte
	return a.Seal(dst, nonce[:], data, additional(&extra, dst[start:start+headerSize], namespace, id)), nil
}

// additional is what GCM authenticates besides: the header, the namespace and the id.
func additional(buf *[headerSize + 1 + 256]byte, header []byte, namespace byte, id []byte) []byte {
	b := append(buf[:0], header...)
	return append(append(b, namespace), id...)
}

// cipher is that of an epoch. Called with the Keys' mu held for reading.
func (r *ringKeys) cipher(epoch uint64) (cipher.AEAD, error) {
	switch {
	case epoch < r.epoch:
		return nil, ErrForgotten
	case (epoch-r.epoch)*r.length > uint64(maxAhead/time.Millisecond)+r.length:
		return nil, fmt.Errorf("%w: its epoch is in %v or more", ErrFormat, maxAhead)
	}
	r.mu.RLock()
	a := r.ciphers[epoch]
	r.mu.RUnlock()
	if a != nil {
		return a, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	chain := r.chainAt(epoch)
	k := derive(chain[:], "seal", r.id)
	a = aead(k)
	clear(chain[:])
	clear(k[:])
	if len(r.ciphers) >= maxCiphers {
		clear(r.ciphers)
	}
	r.ciphers[epoch] = a
	return a, nil
}

// chainAt is the chain key of an epoch to come. Called with r.mu held.
func (r *ringKeys) chainAt(epoch uint64) key {
	at, chain := r.epoch, r.chain
	if mark := epoch / markEvery * markEvery; mark > at {
		for m := mark; m > at; m -= markEvery { // the last mark before the epoch that is known
			if k, ok := r.marks[m]; ok {
				at, chain = m, k
				break
			}
			if m < markEvery {
				break
			}
		}
	}
	for ; at < epoch; at++ {
		if at%markEvery == 0 && at > r.epoch {
			r.marks[at] = chain
		}
		chain = derive(chain[:], "chain", r.id)
	}
	return chain
}

// Open appends the data in sealed to dst.
func (k *Keys) Open(dst []byte, namespace byte, id, sealed []byte) ([]byte, error) {
	ringID, end, err := header(sealed)
	if err != nil {
		return dst, err
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if len(k.rings) == 0 {
		return dst, ErrClosed
	}
	for _, r := range k.rings {
		if r.id != ringID {
			continue
		}
		if end%r.length != 0 || end == 0 {
			return dst, ErrFormat
		}
		a, err := r.cipher(end/r.length - 1)
		if err != nil {
			return dst, err
		}
		var extra [headerSize + 1 + 256]byte
		body := sealed[headerSize:]
		out, err := a.Open(dst, body[:nonceSize], body[nonceSize:], additional(&extra, sealed[:headerSize], namespace, id))
		if err != nil {
			return dst, ErrDamaged
		}
		return out, nil
	}
	return dst, ErrNoKey
}

func header(sealed []byte) (id RingID, end uint64, err error) {
	if len(sealed) < Overhead+1 || sealed[0] != version {
		return id, 0, ErrFormat
	}
	end = binary.BigEndian.Uint64(sealed[9:])
	if end > maxEnd {
		return id, 0, ErrFormat
	}
	return RingID(sealed[1:9]), end, nil
}

// spare is how much later than a session the epoch of its data may end, besides the epoch's length.
const spare = uint64(5 * time.Minute / time.Millisecond)

// Covers tells whether data are sealed under the key of an epoch that is not over when a session expires, nor much
// later. It needs no keys. The error is ErrFormat for what is no sealed data.
func Covers(sealed []byte, expiry uint64) (bool, error) {
	_, end, err := header(sealed)
	if err != nil {
		return false, err
	}
	return expiry < end && end-expiry <= uint64(MaxEpoch/time.Millisecond)+spare, nil
}

// Close forgets the keys.
func (k *Keys) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range k.rings {
		r.wipe()
	}
	k.rings = nil
}
