package serve

import (
	"fmt"
	"syscall"
	"time"
)

// Limits bound what peers and requests may take up. The zero value of a limit means its default.
type Limits struct {
	// RequestTimeout is the longest that a request may take from its arrival. Then it is answered as failed. Default 2
	// s.
	RequestTimeout time.Duration
	// MaxConns is the most connections at a time. One more is closed at once, so that its client, a web server in the
	// middle of a handshake, goes on without the cache rather than wait. Default: 65536, or what the open file limit
	// allows when some files are left for other uses.
	MaxConns int
	// MaxInFlight is the most requests at a time on one connection. With so many, the connection is not read. A request
	// counts until its answer has been handed to the kernel. Default 512.
	MaxInFlight int
	// MaxRequests is the most requests at a time in the whole server. One more is answered as failed at once. Default
	// 65536.
	MaxRequests int
	// MaxUntaken is the most bytes of answers in the whole server that wait for their clients to take them. Past that,
	// a connection with more than its share of them, and more than 64 KiB, is closed when it has another answer.
	// Default 256 MiB.
	MaxUntaken int
	// MaxHeld is the most bytes of requests in the whole server that are being carried out. Past that, a connection
	// with its share of them, and 64 KiB, is not read until it has less. The same limit holds separately for messages
	// that have not arrived whole; past it, a connection with more than its share of them is closed. Default 256 MiB.
	MaxHeld int
	// MessageTimeout is how long a peer may take to finish a message that it has begun, or a TLS handshake.
	// Default 10 s.
	MessageTimeout time.Duration
	// WriteTimeout is how long a peer may take to accept an answer. Default 10 s.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection may have no request open before it is closed, give or take a half. Default
	// 0: no limit.
	IdleTimeout time.Duration
}

const (
	defaultRequestTimeout = 2 * time.Second
	defaultPeerTimeout    = 10 * time.Second
	defaultMaxInFlight    = 512
	defaultMaxRequests    = 1 << 16
	defaultMaxConns       = 1 << 16
	defaultMaxUntaken     = 256 << 20
	defaultMaxHeld        = 256 << 20
)

// withDefaults checks the limits and sets the defaults.
func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name  string
		value *time.Duration
		deflt time.Duration
	}{
		{"RequestTimeout", &l.RequestTimeout, defaultRequestTimeout},
		{"MessageTimeout", &l.MessageTimeout, defaultPeerTimeout},
		{"WriteTimeout", &l.WriteTimeout, defaultPeerTimeout},
		{"IdleTimeout", &l.IdleTimeout, 0},
	} {
		if *f.value < 0 {
			return l, fmt.Errorf("%s is negative: %v", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.deflt
		}
	}
	for _, f := range []struct {
		name  string
		value *int
		deflt int
	}{
		{"MaxConns", &l.MaxConns, maxConns()},
		{"MaxInFlight", &l.MaxInFlight, defaultMaxInFlight},
		{"MaxRequests", &l.MaxRequests, defaultMaxRequests},
		{"MaxUntaken", &l.MaxUntaken, defaultMaxUntaken},
		{"MaxHeld", &l.MaxHeld, defaultMaxHeld},
	} {
		if *f.value < 0 {
			return l, fmt.Errorf("%s is negative: %d", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.deflt
		}
	}
	return l, nil
}

// maxConns is the default of Limits.MaxConns. An eighth of the open files, and at least 32, are left for other uses.
func maxConns() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return defaultMaxConns
	}
	files := int(min(limit.Cur, 2*defaultMaxConns))
	return max(1, min(defaultMaxConns, files-max(32, files/8)))
}
