package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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

// ringKeys are a ring with the ciphers that are in use.
type ringKeys struct {
	*ring
	mu      sync.RWMutex
	ciphers map[uint64]cipher.AEAD // by epoch
}

// maxCiphers bounds the ciphers that a ring keeps.
const maxCiphers = 1024

// Open reads a key file. It writes the file anew, so that one that can't be replaced is found at the start.
func Open(path string) (*Keys, error) {
	k := &Keys{path: path}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	k.file.Lock()
	defer k.file.Unlock()
	if err := store(path, k.present()); err != nil {
		return nil, fmt.Errorf("the seal key can't be replaced, as it has to be in each epoch: %w", err)
	}
	return k, nil
}

// Reload reads the key file again, in which rings may have been added or dropped. Epochs that are over stay over.
func (k *Keys) Reload() error {
	k.file.Lock()
	defer k.file.Unlock()
	rings, err := load(k.path)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []*ringKeys
	for _, r := range rings {
		if err := r.advance(k.now); err != nil {
			return err
		}
		list = append(list, &ringKeys{ring: r, ciphers: make(map[uint64]cipher.AEAD)})
	}
	for _, r := range k.rings {
		r.wipe()
	}
	k.rings = list
	return nil
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

func (r *ring) advance(now uint64) error {
	epoch := now / r.length
	if epoch > r.epoch && epoch-r.epoch > maxSteps {
		return fmt.Errorf("the log's time is %s, more than ten years after the seal key's epoch: a clock is wrong, or was",
			time.UnixMilli(int64(min(now, math.MaxInt64))).UTC().Format(time.RFC3339))
	}
	r.step(epoch)
	return nil
}

// Advance moves the keys on to the log's time, in ms since 1970, and overwrites those of epochs that are over.
func (k *Keys) Advance(now uint64) error {
	k.file.Lock()
	defer k.file.Unlock()
	moved, err := k.advance(now)
	if k.stale = k.stale || moved; err != nil || !k.stale {
		return err
	}
	if err := store(k.path, k.present()); err != nil {
		return fmt.Errorf("the seal key can't be replaced: %w", err)
	}
	k.stale = false
	return nil
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

func (k *Keys) advance(now uint64) (moved bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = max(k.now, now)
	for _, r := range k.rings {
		before := r.epoch
		if err := r.ring.advance(now); err != nil {
			return moved, err
		}
		if r.epoch == before {
			continue
		}
		moved = true
		for epoch := range r.ciphers {
			if epoch < r.epoch {
				delete(r.ciphers, epoch)
			}
		}
	}
	return moved, nil
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
	chain := r.chain
	for e := r.epoch; e < epoch; e++ {
		chain = derive(chain[:], "chain", r.id)
	}
	k := derive(chain[:], "seal", r.id)
	a = aead(k)
	clear(chain[:])
	clear(k[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ciphers) >= maxCiphers {
		clear(r.ciphers)
	}
	r.ciphers[epoch] = a
	return a, nil
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
		clear(r.ciphers)
	}
	k.rings = nil
}
