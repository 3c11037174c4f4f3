package raftstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
)

// A Node is a member of a cluster that starts together.
type Node struct {
	Name    string
	Address string // HOST:PORT of its peer port
}

// A ReadMode says what a read waits for.
type ReadMode int

const (
	// ReadLinearizable sees every write that was acknowledged before the read began, on any node.
	ReadLinearizable ReadMode = iota
	// ReadLeader spares the leader the question whether it still leads, for reads of its own clients: one that has been
	// deposed and does not know it yet may answer them from an old state, for as long as its lease lasts. A follower's
	// reads are linearizable. Each node may have another mode.
	ReadLeader
	// ReadLocal answers from whatever this node has, however old.
	ReadLocal
)

// String is the mode as ParseReadMode takes it.
func (m ReadMode) String() string {
	switch m {
	case ReadLeader:
		return "leader"
	case ReadLocal:
		return "local"
	}
	return "linearizable"
}

// ParseReadMode takes linearizable, leader or local.
func ParseReadMode(s string) (ReadMode, error) {
	for _, m := range []ReadMode{ReadLinearizable, ReadLeader, ReadLocal} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("reads are linearizable, leader or local, not %q", s)
}

// A Network opens the connections between nodes.
type Network = peernet.Network

// Security authenticates nodes to each other and encrypts what they say.
type Security = peernet.Security

// Config is what Open needs. Dir and Name are required.
type Config struct {
	Dir  string // for the node's files; made with mode 0700 when it is not there
	Name string // of the node, unique in its cluster: letters, digits, '.', '_' and '-', at most 64

	Peer      string   // HOST:PORT on which other nodes reach this one; empty: no port, a single node
	Advertise string   // the address given to other nodes; default: Cluster's, or Peer
	Cluster   []Node   // all nodes of a cluster that starts together, this one among them; the same on all
	Join      []string // peer addresses of a cluster to join; no effect once a member

	Version  string // of the program; other nodes are told
	Sessions uint64 // most sessions kept, those due to expire soonest go first; 0: no limit. The leader's counts.
	Reads    ReadMode
	RaftLog  LogKind      // what a directory with another kind has to be converted to
	Logger   *slog.Logger // default: discard
	Network  Network      // default: TCP
	Security Security     // default: none, so that whoever reaches the peer port is believed

	// Seal is the file with the keys under which session data are sealed; see CreateSealKey. Empty: they are not sealed.
	// The file is replaced in each epoch: its directory must be writable.
	Seal string
	// Insecure allows a peer port without Security at an address that other machines can reach.
	Insecure bool
	// OpenJoins lets any node that passes Security join. Otherwise a node joins if its name is a member's or stands in
	// Cluster, or if a member was told to Grant it.
	OpenJoins bool

	// Timing of elections. A leader that is lost is replaced within about twice Heartbeat.
	Heartbeat time.Duration // without a word from the leader before an election; 5ms or more, default 400ms
	Lease     time.Duration // without a word from a majority before a leader steps down; 5ms to Heartbeat, default Heartbeat

	DiskTimeout time.Duration // the longest a write to the log may take before the node gives up; 10ms or more, default 10s
	BatchBytes  int           // of operations in a log entry; 1 B to 16 MiB, default 128 KiB
	InFlight    int           // log entries under way at once; 1 to 256, default 2
	Waiting     int           // bytes of operations that may wait for a log entry; default 256 MiB
	LogBytes    int64         // of log from one snapshot to the next; more than InFlight x BatchBytes, default 64 MiB. As much is kept of it, or the state's size

	counters  *counters
	wallClock func() time.Time // default: time.Now
	timing    timing           // default: defaultTiming()
	hooks     hooks
}

// A ConfigError is a setting that can't work.
type ConfigError struct {
	Setting string // the name of the Config field
	Problem string
}

func (e *ConfigError) Error() string { return e.Setting + ": " + e.Problem }

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Network == nil {
		c.Network = peernet.TCP{}
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 400 * time.Millisecond
	}
	if c.Lease == 0 {
		c.Lease = c.Heartbeat
	}
	if c.DiskTimeout == 0 {
		c.DiskTimeout = 10 * time.Second
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 128 << 10
	}
	if c.InFlight == 0 {
		c.InFlight = 2
	}
	if c.timing == (timing{}) {
		c.timing = defaultTiming()
	}
	c.counters = newCounters()
	if c.wallClock == nil {
		c.wallClock = time.Now
	}
	c.Cluster = slices.SortedFunc(slices.Values(c.Cluster), func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	if c.LogBytes == 0 {
		c.LogBytes = 64 << 20
	}
	if c.Advertise == "" {
		c.Advertise = c.Peer
		for _, n := range c.Cluster {
			if n.Name == c.Name {
				c.Advertise = n.Address
			}
		}
	}
	return c
}

// founding tells one list of Cluster from another: nodes that begin with different ones would each have a first log
// entry of their own, and Raft could not tell. Empty without a list.
func (c Config) founding() string {
	if len(c.Cluster) == 0 {
		return ""
	}
	var b strings.Builder
	for _, n := range c.Cluster {
		fmt.Fprintf(&b, "%s=%s,", n.Name, n.Address)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// Validate is what Open says of settings before it looks at anything else: a *ConfigError, or nil.
func (c Config) Validate() error { return c.withDefaults().validate() }

func (c Config) validate() error {
	bad := func(setting, problem string, args ...any) error {
		return &ConfigError{Setting: setting, Problem: fmt.Sprintf(problem, args...)}
	}
	if c.Dir == "" {
		return bad("Dir", "a data directory is needed")
	}
	if !serverid.ValidName(c.Name) {
		return bad("Name", "a node's name is 1 to 64 letters, digits, '.', '_' and '-', not %q", c.Name)
	}
	if err := c.validateNumbers(bad); err != nil {
		return err
	}
	if c.Peer == "" {
		if len(c.Cluster) > 0 || len(c.Join) > 0 || c.Advertise != "" {
			return bad("Peer", "other nodes need an address, HOST:PORT, to reach this one")
		}
		return nil
	}
	if _, port, err := net.SplitHostPort(c.Peer); err != nil || port == "" {
		return bad("Peer", "HOST:PORT is needed, not %q", c.Peer)
	}
	if err := checkAddress(c.Advertise); err != nil {
		return bad("Advertise", "other nodes need an address to reach this one: %v", err)
	}
	if len(c.Cluster) > 0 && len(c.Join) > 0 {
		return bad("Join", "a node starts with a cluster or joins one, not both")
	}
	for _, a := range c.Join {
		if err := checkAddress(a); err != nil {
			return bad("Join", "%v", err)
		}
	}
	if own, others := c.joins(); len(own) > 0 && len(others) == 0 {
		return bad("Join", "%s is this node's own address: it takes that of another node, a member of the cluster; the first node of a new cluster starts without it",
			strings.Join(own, ","))
	}
	if err := c.validateCluster(bad); err != nil {
		return err
	}
	if c.Security == nil && !c.Insecure && !loopback(c.Advertise) {
		return bad("Security", "%s can be reached from other machines, and without certificates anybody who reaches it "+
			"can read and change every session", c.Advertise)
	}
	return nil
}

// The bounds of settings. Raft takes no shorter times; a batch must fit into a file of the log.
const (
	minTimeout     = 5 * time.Millisecond
	minDiskTimeout = 10 * time.Millisecond
	maxBatchBytes  = 16 << 20
	maxInFlight    = raftnode.MaxEntries / 2
)

func (c Config) validateNumbers(bad func(string, string, ...any) error) error {
	switch {
	case c.Heartbeat < minTimeout:
		return bad("Heartbeat", "it takes a time of %v or more, not %v", minTimeout, c.Heartbeat)
	case c.Lease < minTimeout || c.Lease > c.Heartbeat:
		return bad("Lease", "it takes a time of %v to that of Heartbeat, %v, not %v", minTimeout, c.Heartbeat, c.Lease)
	case c.DiskTimeout < minDiskTimeout:
		return bad("DiskTimeout", "it takes a time of %v or more, not %v", minDiskTimeout, c.DiskTimeout)
	case c.BatchBytes < 1 || c.BatchBytes > maxBatchBytes:
		return bad("BatchBytes", "it takes 1 to %d bytes, not %d", maxBatchBytes, c.BatchBytes)
	case c.InFlight < 1 || c.InFlight > maxInFlight:
		return bad("InFlight", "it takes 1 to %d log entries, not %d", maxInFlight, c.InFlight)
	case c.LogBytes <= int64(c.InFlight)*int64(c.BatchBytes): // a snapshot would come over entries that are still under way
		return bad("LogBytes", "it takes more than InFlight x BatchBytes, %d x %d bytes, not %d", c.InFlight, c.BatchBytes, c.LogBytes)
	case c.RaftLog != LogBolt && c.RaftLog != LogWAL:
		return bad("RaftLog", "it takes LogBolt or LogWAL, not %d", c.RaftLog)
	case c.Reads < ReadLinearizable || c.Reads > ReadLocal:
		return bad("Reads", "it takes ReadLinearizable, ReadLeader or ReadLocal, not %d", c.Reads)
	}
	return nil
}

// joins are the addresses of Join: this node's own, which is left out as all nodes may be given the same list, and
// others.
func (c Config) joins() (own, others []string) {
	for _, a := range c.Join {
		if sameAddress(a, c.Advertise) || sameAddress(a, c.Peer) {
			own = append(own, a)
		} else {
			others = append(others, a)
		}
	}
	return own, others
}

// sameAddress tells whether two HOST:PORT are the same in all but their spelling.
func sameAddress(a, b string) bool {
	host, port, err := net.SplitHostPort(a)
	other, otherPort, err2 := net.SplitHostPort(b)
	return err == nil && err2 == nil && port == otherPort && wire.SameHost(host, other)
}

func (c Config) validateCluster(bad func(string, string, ...any) error) error {
	names, addresses := map[string]bool{}, map[string]bool{}
	var list []string
	for _, n := range c.Cluster {
		if !serverid.ValidName(n.Name) {
			return bad("Cluster", "a node's name is 1 to 64 letters, digits, '.', '_' and '-', not %q", n.Name)
		}
		if err := checkAddress(n.Address); err != nil {
			return bad("Cluster", "node %s: %v", n.Name, err)
		}
		if names[n.Name] {
			return bad("Cluster", "two nodes are called %s", n.Name)
		}
		if addresses[n.Address] {
			return bad("Cluster", "two nodes have the address %s", n.Address)
		}
		names[n.Name], addresses[n.Address] = true, true
		list = append(list, n.Name)
	}
	if len(c.Cluster) > 0 && !names[c.Name] {
		return bad("Cluster", "this node, %s, is not among %s", c.Name, strings.Join(list, ", "))
	}
	return nil
}

// loopback tells whether an address is one of this machine alone.
func loopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	ip := net.ParseIP(host)
	return err == nil && (strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback())
}

// checkAddress tells whether another node could connect to the address.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	switch {
	case err != nil || port == "" || port == "0":
		return fmt.Errorf("HOST:PORT is needed, not %q", a)
	case host == "":
		return fmt.Errorf("%q has no host", a)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q names every interface, not one", a)
	}
	return nil
}
