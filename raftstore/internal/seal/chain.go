package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

const keySize = 32

type key [keySize]byte

// derive gives a key that follows from another. purpose and ring keep keys for different ends apart.
func derive(from []byte, purpose string, ring RingID) (k key) {
	b, err := hkdf.Key(sha256.New, from, nil, "distcache seal 1 "+purpose+" "+ring.String(), keySize)
	if err != nil {
		panic(err) // only for keys that are too long
	}
	copy(k[:], b)
	clear(b)
	return k
}

// A RingID tells rings apart. It is random.
type RingID [8]byte

func (r RingID) String() string { return hex.EncodeToString(r[:]) }

// ParseRing reads a ring's ID as String writes it.
func ParseRing(s string) (r RingID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(r) {
		return r, fmt.Errorf("%.40q is not the ID of a ring: 16 hex digits", s)
	}
	return RingID(b), nil
}

func aead(k key) cipher.AEAD {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // only for another length
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return a
}

// fingerprint identifies a ring's keys and reveals nothing of them. It is the same in every epoch.
func fingerprint(root []byte, ring RingID) string {
	k := derive(root, "fingerprint", ring)
	return hex.EncodeToString(k[:8])
}
