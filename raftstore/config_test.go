package raftstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore"
)

// A number that can't work is refused with the name of the setting and what it takes, before anything is opened.
func TestNumbersAreChecked(t *testing.T) {
	for _, test := range []struct {
		setting, takes string
		bad, good      raftstore.Config
	}{
		{"Heartbeat", "5ms or more", raftstore.Config{Heartbeat: time.Millisecond}, raftstore.Config{Heartbeat: 5 * time.Millisecond}},
		{"Heartbeat", "5ms or more", raftstore.Config{Heartbeat: -time.Second}, raftstore.Config{}},
		{"Lease", "5ms to that of Heartbeat, 400ms", raftstore.Config{Lease: time.Second}, raftstore.Config{Lease: 400 * time.Millisecond}},
		{"Lease", "5ms to that", raftstore.Config{Lease: -1}, raftstore.Config{Lease: 5 * time.Millisecond}},
		{"DiskTimeout", "10ms or more", raftstore.Config{DiskTimeout: -time.Second}, raftstore.Config{DiskTimeout: 10 * time.Millisecond}},
		{"DiskTimeout", "10ms or more", raftstore.Config{DiskTimeout: 9}, raftstore.Config{}}, // its tenth is no time
		{"BatchBytes", "1 to 16777216 bytes", raftstore.Config{BatchBytes: -1}, raftstore.Config{BatchBytes: 1}},
		{"BatchBytes", "1 to 16777216 bytes", raftstore.Config{BatchBytes: 16<<20 + 1}, raftstore.Config{BatchBytes: 16 << 20}},
		{"InFlight", "1 to 256 log entries", raftstore.Config{InFlight: -1}, raftstore.Config{InFlight: 1}},
		{"InFlight", "1 to 256 log entries", raftstore.Config{InFlight: 257}, raftstore.Config{InFlight: 256}},
		{"LogBytes", "more than InFlight x BatchBytes, 2 x 131072 bytes", raftstore.Config{LogBytes: -1}, raftstore.Config{LogBytes: 256<<10 + 1}},
		{"LogBytes", "more than InFlight x BatchBytes, 2 x 3 bytes, not 6", raftstore.Config{LogBytes: 6, BatchBytes: 3}, raftstore.Config{LogBytes: 7, BatchBytes: 3}},
		{"LogBytes", "256 x 16777216 bytes, not 67108864", raftstore.Config{BatchBytes: 16 << 20, InFlight: 256}, raftstore.Config{BatchBytes: 16 << 20, InFlight: 3}},
		{"RaftLog", "LogBolt or LogWAL", raftstore.Config{RaftLog: 2}, raftstore.Config{RaftLog: raftstore.LogWAL}},
		{"Reads", "ReadLeader or ReadLocal", raftstore.Config{Reads: 3}, raftstore.Config{Reads: raftstore.ReadLocal}},
	} {
		test.bad.Dir, test.bad.Name = t.TempDir(), "n1"
		s, err := raftstore.Open(test.bad)
		if err == nil {
			s.Close()
		}
		var bad *raftstore.ConfigError
		if !errors.As(err, &bad) || bad.Setting != test.setting || !strings.Contains(bad.Problem, test.takes) {
			t.Errorf("%s: %v", test.setting, err)
		}
		test.good.Dir, test.good.Name = "d", "n1"
		if err := test.good.Validate(); err != nil {
			t.Errorf("%+v: %v", test.good, err)
		}
	}
}

// All nodes may have the same list of addresses to join through; one of only its own is none.
func TestJoinThroughItself(t *testing.T) {
	cfg := raftstore.Config{Dir: "d", Name: "n1", Peer: "10.0.0.1:7001", Advertise: "Host1:7001", Insecure: true}
	for join, refused := range map[string]bool{
		"host1:7001":                        true,
		"[::ffff:10.0.0.1]:7001 host1:7001": true,
		"host1:7001 host2:7001":             false,
		"host1:7002":                        false,
	} {
		cfg.Join = strings.Fields(join)
		err := cfg.Validate()
		var bad *raftstore.ConfigError
		if refused && (!errors.As(err, &bad) || bad.Setting != "Join" || !strings.Contains(bad.Problem, "this node's own address")) ||
			!refused && err != nil {
			t.Errorf("join %v: %v", cfg.Join, err)
		}
	}
}

// Without certificates a node talks to others on its own machine only, unless it is told otherwise.
func TestPeersNeedCertificates(t *testing.T) {
	for address, needed := range map[string]bool{
		"127.0.0.1:7001": false, "[::1]:7001": false, "LocalHost:7001": false,
		"10.0.0.1:7001": true, "[2001:db8::1]:7001": true, "host1:7001": true, "localhost.example:7001": true,
	} {
		cfg := raftstore.Config{Dir: "d", Name: "n1", Peer: address}
		err := cfg.Validate()
		var bad *raftstore.ConfigError
		if refused := errors.As(err, &bad) && bad.Setting == "Security"; refused != needed {
			t.Errorf("%s: %v", address, err)
		}
		cfg.Insecure = true
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s, which is insecure and may be: %v", address, err)
		}
	}
}
