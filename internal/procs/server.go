package procs

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// A Server is a dc_server that runs or not.
type Server struct {
	Process
	Listen wire.Address
	Peer   string // HOST:PORT
	Dir    string // data directory

	program []string // the command line before the flags
}

// A Config says how servers are started.
type Config struct {
	Program []string // dc_server, with arguments that come before the flags
	Env     []string // added to this process's
	Dir     string   // the parent of the data directories
}

// NewServer makes a server with free loopback ports. It does not start the server.
func NewServer(cfg Config, name string) (*Server, error) {
	ports, err := FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	listen, err := wire.ParseAddress("IP:" + ports[0])
	if err != nil {
		return nil, err
	}
	s := &Server{
		Process: Process{Name: name, Env: cfg.Env},
		Listen:  listen,
		Peer:    ports[1],
		Dir:     filepath.Join(cfg.Dir, name),
		program: cfg.Program,
	}
	s.Flags()
	return s, nil
}

// NewCluster makes n servers n1, n2, …, which form a static cluster.
func NewCluster(cfg Config, n int, flags ...string) ([]*Server, error) {
	var list []*Server
	var members []string
	for i := range n {
		s, err := NewServer(cfg, fmt.Sprintf("n%d", i+1))
		if err != nil {
			return nil, err
		}
		list = append(list, s)
		members = append(members, s.Name+"="+s.Peer)
	}
	for _, s := range list {
		s.Flags(append([]string{"-cluster", strings.Join(members, ",")}, flags...)...)
	}
	return list, nil
}

// Flags sets the flags of the server besides those for its name, data directory and client address.
func (s *Server) Flags(flags ...string) {
	own := []string{"-node", s.Name, "-data", s.Dir, "-listen", s.Listen.String()}
	s.Command = slices.Concat(s.program, own, flags)
}

// Admin is a client of the server's admin socket.
func (s *Server) Admin() *admin.Client {
	return admin.NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(s.Dir, "admin.sock"))
	})
}

// Status asks the server for its status.
func (s *Server) Status(ctx context.Context) (raftstore.Status, error) {
	c := s.Admin()
	defer c.Close()
	return c.Status(ctx)
}

// Leader waits until one of the servers leads, and all that run know it.
func Leader(ctx context.Context, servers []*Server) (*Server, error) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		if l := leader(ctx, servers); l != nil {
			return l, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no leader: %w", ctx.Err())
		case <-t.C:
		}
	}
}

func leader(ctx context.Context, servers []*Server) *Server {
	var found *Server
	known := 0
	running := 0
	for _, s := range servers {
		if !s.Running() {
			continue
		}
		running++
		st, err := s.Status(ctx)
		if err != nil {
			return nil
		}
		if st.Role == raftstore.RoleLeader {
			found = s
		}
		for _, o := range servers {
			if o.Name == st.Leader && o.Running() {
				known++
			}
		}
	}
	if known < running {
		return nil
	}
	return found
}
