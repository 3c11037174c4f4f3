package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/daemon"
	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

const program = "dc_server"

const intro = `usage: dc_server -listen ADDR [flags]

Keeps TLS sessions for distcache clients: on disk, and replicated when there are several nodes.

  one node       dc_server -listen IP:9001
  three nodes    dc_server -listen IP:9001 -node n1 -cluster n1=host1:7001,n2=host2:7001,n3=host3:7001
                 and the same with -node n2 and -node n3 on the others
  one more       dc_server -listen IP:9001 -node n4 -peer host4:7001 -join host1:7001
  in memory      dc_server -listen IP:9001 -memory

ADDR is IP:PORT for all interfaces, IP:HOST:PORT, UNIX:PATH or FD:N.`

// options are dc_server's settings.
type options struct {
	listen     []wire.Address
	timeout    time.Duration
	minTimeout time.Duration
	progress   uint64

	sessions uint64
	memory   bool
	data     string
	reads    raftstore.ReadMode
	raftLog  raftstore.LogKind

	node      string
	peer      string
	advertise string
	cluster   []raftstore.Node
	join      []string

	admin  []wire.Address
	tls    *config.TLS
	daemon *daemon.Options

	insecurePeer bool
	openJoins    bool
	seal         string
	coreDumps    bool
	buffers      int // see daemon.Process.Buffers
}

// defaults returns the defaults of all settings. A new node on a host without a usable name needs -node.
func defaults() *options {
	host, _ := os.Hostname()
	return &options{
		timeout:  2 * time.Second,
		sessions: 1_000_000,
		data:     config.DataDir(),
		node:     host,
	}
}

func (o *options) flags() *config.Set {
	set := config.New(program, intro)
	set.Group("Clients")
	set.Addresses(&o.listen, "listen", "where clients connect; may be repeated; needed")
	set.Duration(&o.timeout, "timeout", "the longest that any request may take; then the answer is DISCONNECTED")
	set.Millis(&o.minTimeout, 0, wire.MaxTimeout, "mintimeout",
		"raise shorter timeouts of added sessions to this; needed for Apache httpd's mod_socache_dc, "+
			"which asks for less than a second whatever its configuration says")
	set.Uint64(&o.progress, math.MaxInt, "progress", "print a line with the counts of operations and sessions "+
		"after every N operations, and at least once a second while there are operations; 0 is never")

	set.Group("Sessions")
	set.Uint64(&o.sessions, math.MaxInt, "sessions",
		"the most sessions kept; past it, the sessions that expire soonest are evicted; 0 is no limit")
	set.String(&o.data, "data", "DIR", "the path of a directory", "the data directory, where sessions are kept on disk")
	set.Bool(&o.memory, "memory", "keep sessions in memory only, unreplicated, as the original dc_server does")
	set.Func("reads", "linearizable|leader|local", "linearizable, leader or local", o.reads.String(),
		"linearizable: a read sees every write acknowledged before it, on any node; "+
			"leader: faster, but a leader that was just deposed may answer from old state for a moment; "+
			"local: this node answers from what it has",
		func(text string) (err error) {
			if o.reads, err = raftstore.ParseReadMode(text); err != nil {
				return config.ErrTakes
			}
			return nil
		})
	set.Func("raft-log", "bolt|wal", "bolt or wal", o.raftLog.String(),
		"how the Raft log is kept; bolt: one bbolt file; wal: files that are only appended to, "+
			"which need one sync of the disk per write instead of two; \"dc_admin convert-log\" converts a log",
		func(text string) (err error) {
			if o.raftLog, err = raftstore.ParseLogKind(text); err != nil {
				return config.ErrTakes
			}
			return nil
		})

	set.String(&o.seal, "seal", "FILE", "the path of a file",
		"the key under which session data are sealed, made by \"dc_admin seal-key\" and the same on all nodes; "+
			"it is replaced in each epoch, so its directory must be writable, and best be in memory; "+
			"without it, session data are on disk as they are")

	set.Bool(&o.coreDumps, "core-dumps", "with -seal, let a crash leave a core dump, which has keys in it")

	set.Group("Cluster")
	set.String(&o.node, "node", "NAME", "a name", "this node's name, unique in its cluster; "+
		"without it, a data directory that is in use keeps the name that it has")
	set.HostPort(&o.peer, true, "peer", "where other nodes reach this one; without it, the node has no cluster")
	set.HostPort(&o.advertise, false, "advertise", "the address that other nodes are told, if it is not -peer")
	set.List("cluster", "NAME=HOST:PORT,…", "NAME=HOST:PORT of every node, with commas between them",
		"all nodes of a cluster that starts together, this one too, with the same list on each; it also sets -peer",
		o.addNode)
	set.HostPorts(&o.join, "join", "peers of a cluster to join; ignored once this node is a member")

	set.Bool(&o.openJoins, "open-joins", "let any node with a certificate of this cluster join; without it, a node "+
		"joins if its name is a member's, or stands in -cluster, or was granted with \"dc_admin grant\"")
	set.Bool(&o.insecurePeer, "insecure-peer", "let nodes talk to each other without certificates over a network: "+
		"whoever reaches the peer port can read and change every session")

	o.tls = set.TLS(true)
	set.Group("Operation")
	set.Addresses(&o.admin, "admin", "where dc_admin connects, and where /metrics, /healthz and /readyz are; "+
		"over IP nothing can be changed, over TLS with a certificate of the role admin; may be repeated; "+
		"without -memory, UNIX:DIR/admin.sock in the -data directory is added unless a socket is given")
	set.File()
	o.daemon = daemon.Flags(set)
	return set
}

func (o *options) addNode(word string) error {
	name, address, ok := strings.Cut(word, "=")
	if !ok || name == "" {
		return fmt.Errorf("%q is not NAME=HOST:PORT", word)
	}
	if err := config.CheckHostPort(address, false); err != nil {
		return fmt.Errorf("node %s: %w", name, err)
	}
	o.cluster = append(o.cluster, raftstore.Node{Name: name, Address: address})
	return nil
}

// parse reads the settings from args, the environment and a file, and checks that they go together.
func parse(args []string, stdout io.Writer) (*options, error) {
	opts := defaults()
	set := opts.flags()
	if err := set.ParseFlags(args, stdout); err != nil {
		return nil, err
	}
	if len(opts.listen) == 0 {
		return nil, config.Usagef("-listen is needed: where clients connect, such as -listen IP:127.0.0.1:9001 or -listen " +
			"UNIX:/run/distcache.sock")
	}
	if err := opts.certified(); err != nil {
		return nil, err
	}
	if opts.memory {
		if err := memoryAlone(set); err != nil {
			return nil, err
		}
		return opts, opts.places()
	}
	if err := opts.name(set); err != nil {
		return nil, err
	}
	if err := opts.place(); err != nil {
		return nil, err
	}
	if err := opts.adminSocket(); err != nil {
		return nil, err
	}
	if err := opts.places(); err != nil {
		return nil, err
	}
	return opts, opts.explain(opts.store().Validate())
}

// certified refuses addresses of TLS without certificates.
func (o *options) certified() error {
	return cmp.Or(o.tls.Needed("-listen", o.listen), o.tls.Needed("-admin", o.admin))
}

// adminSocket adds the admin socket in the data directory, unless -admin names another socket. A node always needs
// one: nothing can be changed over IP.
func (o *options) adminSocket() error {
	for _, a := range o.admin {
		if a.Path() != "" || strings.HasPrefix(a.String(), "FD:") {
			return nil
		}
	}
	at, err := wire.ParseAddress(config.AdminAddress(o.data))
	switch {
	case err == nil:
		o.admin = append(o.admin, at)
	case len(o.admin) == 0:
		return config.Usagef("-admin is needed, since the admin socket cannot be in that data directory: %w", err)
	}
	return nil
}

// places refuses two addresses of which only one can be listened on.
func (o *options) places() error {
	var peer []config.Place
	if o.peer != "" {
		at, err := wire.ParseAddress("IP:" + o.peer)
		if err != nil {
			return config.Usagef("-peer: %w", err)
		}
		peer = []config.Place{{Flag: "-peer", Text: o.peer, At: at}}
	}
	return config.NotTwice(config.Places("-listen", o.listen), config.Places("-admin", o.admin), peer)
}

// store returns the configuration of the replicated store.
func (o *options) store() raftstore.Config {
	var security raftstore.Security
	if o.tls.Given() {
		security = tlsconf.Nodes{Source: o.tls.Source()}
	}
	return raftstore.Config{
		Security:  security,
		Seal:      o.seal,
		Waiting:   o.buffers,
		Insecure:  o.insecurePeer,
		OpenJoins: o.openJoins,
		Dir:       o.data,
		Name:      o.node,
		Version:   config.Release(),
		Peer:      o.peer,
		Advertise: o.advertise,
		Cluster:   o.cluster,
		Join:      o.join,
		Sessions:  o.sessions,
		Reads:     o.reads,
		RaftLog:   o.raftLog,
	}
}

// memoryAlone refuses the flags that have no effect with -memory.
func memoryAlone(set *config.Set) error {
	for _, name := range []string{"data", "raft-log", "peer", "advertise", "cluster", "join", "insecure-peer", "open-joins", "seal", "core-dumps"} {
		if set.Given(name) {
			return config.Usagef("-memory and -%s don't go together: with -memory nothing is kept on disk or on other nodes",
				name)
		}
	}
	return nil
}

// name settles the node's name: -node, else the name in the data directory, else the host's name. The host's name
// comes last because a container has a new one after each start.
func (o *options) name(set *config.Set) error {
	if set.Given("node") {
		return nil
	}
	before, err := raftstore.NodeName(o.data)
	if err != nil {
		return explainData(err)
	}
	if before != "" {
		o.node = before
	}
	if o.node == "" {
		return config.Usagef("-node is needed, as this host has no name")
	}
	return nil
}

// place settles the node's peer address and the address that it advertises.
func (o *options) place() error {
	switch {
	case len(o.cluster) > 0 && len(o.join) > 0:
		return config.Usagef("-cluster and -join don't go together: a node starts with its cluster, or joins an existing one")
	case len(o.cluster) > 0:
		return o.placeInCluster()
	case o.peer == "" && len(o.join) > 0:
		return config.Usagef("-join needs -peer: the address, HOST:PORT, where the cluster reaches this node")
	case o.peer == "" && o.advertise != "":
		return config.Usagef("-advertise needs -peer: the address that this node listens on for the others")
	case o.peer == "":
		return nil
	}
	if o.advertise == "" {
		if !namesHost(o.peer) {
			return config.Usagef("-peer %s names no host that others could connect to: give one with -advertise HOST:PORT",
				o.peer)
		}
		o.advertise = o.peer
	}
	if !namesHost(o.advertise) {
		return config.Usagef("-advertise %s names no host that others could connect to", o.advertise)
	}
	return nil
}

func (o *options) placeInCluster() error {
	var names []string
	own := ""
	for _, n := range o.cluster {
		names = append(names, n.Name)
		if n.Name == o.node {
			own = n.Address
		}
	}
	switch {
	case own == "":
		return config.Usagef("-cluster lists %s, but not this node, which is called %s: give -node one of those names",
			strings.Join(names, ", "), o.node)
	case o.advertise != "" && o.advertise != own:
		return config.Usagef("-advertise %s is not the address that -cluster has for this node, %s", o.advertise, own)
	}
	o.advertise = own
	if o.peer == "" {
		o.peer = own
	}
	return nil
}

// namesHost tells whether another machine could connect to the address: 0.0.0.0 is only for listening.
func namesHost(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	ip, notIP := netip.ParseAddr(host)
	return err == nil && host != "" && (notIP != nil || !ip.IsUnspecified())
}

// settings maps fields of raftstore.Config, as a ConfigError names them, to their flags.
var settings = map[string]string{
	"Dir": "-data", "Name": "-node", "Peer": "-peer", "Advertise": "-advertise", "Cluster": "-cluster", "Join": "-join",
	"Seal": "-seal", "Sessions": "-sessions", "Reads": "-reads", "RaftLog": "-raft-log",
}

// explain rewrites an error of raftstore's in terms of flags.
func (o *options) explain(err error) error {
	var bad *raftstore.ConfigError
	if errors.As(err, &bad) {
		if bad.Setting == "Security" {
			return config.Hint(config.Usagef("-peer: %s", bad.Problem),
				"-certs DIR gives the node a certificate: see \"dc_admin help certs\". -insecure-peer goes without.")
		}
		if name := settings[bad.Setting]; name != "" {
			return config.Usagef("%s: %s", name, bad.Problem)
		}
		return config.Usagef("%w", err)
	}
	var kind *raftstore.LogKindError
	if errors.As(err, &kind) {
		return fmt.Errorf("%w: start with -raft-log %s, or convert the log with dc_admin convert-log -data %s -to %s",
			err, kind.Kind, kind.Dir, o.raftLog)
	}
	return err
}
