// Package procs runs dc_server processes from outside, as an operator would: started from their flags and files, killed,
// stopped and started again. The demo and the crash tests use it.
package procs

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// keepLog is how much of a process's standard error is kept for reports.
const keepLog = 64 << 10

// A Server is one dc_server, running or not.
type Server struct {
	Name   string
	Listen wire.Address
	Peer   string // HOST:PORT
	Dir    string // data directory

	program []string // how to start it, before the flags
	env     []string // besides this process's
	flags   []string

	cmd    *exec.Cmd
	exited chan struct{}
	log    *tail
}

// A Config says how to start servers.
type Config struct {
	Program []string // dc_server, with arguments that come before the flags
	Env     []string // besides this process's
	Dir     string   // under which the data directories are made
}

// NewServer makes a server on free loopback ports without starting it.
func NewServer(cfg Config, name string) (*Server, error) {
	ports, err := FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	listen, err := wire.ParseAddress("IP:" + ports[0])
	if err != nil {
		return nil, err
	}
	return &Server{
		Name:    name,
		Listen:  listen,
		Peer:    ports[1],
		Dir:     filepath.Join(cfg.Dir, name),
		program: cfg.Program,
		env:     cfg.Env,
	}, nil
}

// NewCluster makes n servers n1, n2, … that are one static cluster.
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

// Flags sets what the server is started with, besides its name, data directory and client address.
func (s *Server) Flags(flags ...string) { s.flags = flags }

// Start starts the process. It does not wait for anything.
func (s *Server) Start() error {
	if s.Running() {
		return fmt.Errorf("%s runs already", s.Name)
	}
	args := append(s.program[1:len(s.program):len(s.program)], "-node", s.Name, "-data", s.Dir, "-listen", s.Listen.String())
	cmd := exec.Command(s.program[0], append(args, s.flags...)...)
	cmd.Env = append(os.Environ(), s.env...)
	log := &tail{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.log, s.exited = cmd, log, make(chan struct{})
	go func(done chan struct{}) {
		cmd.Wait()
		close(done)
	}(s.exited)
	return nil
}

// Running tells whether the process has been started and has not ended.
func (s *Server) Running() bool {
	if s.exited == nil {
		return false
	}
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process at once, as kill -9 does.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Stop asks the process to stop, as a service manager does, and waits until it has; after a while it is killed, and
// that is an error.
func (s *Server) Stop() error {
	if !s.Running() {
		return nil
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		s.Kill()
		return fmt.Errorf("%s did not stop within 30 s", s.Name)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s stopped with status %d:\n%s", s.Name, code, s.Log())
	}
	return nil
}

// Signal sends the process a signal that does not end it.
func (s *Server) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

func (s *Server) signal(sig os.Signal) {
	if s.Running() {
		s.cmd.Process.Signal(sig)
		<-s.exited
	}
}

// Wait waits for the process to end and gives its exit status, -1 when a signal ended it.
func (s *Server) Wait(ctx context.Context) (int, error) {
	select {
	case <-s.exited:
		return s.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// Pid is the process's.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Log is the end of what the process wrote to its standard error since it was started last.
func (s *Server) Log() string {
	if s.log == nil {
		return ""
	}
	return s.log.String()
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

// Leader waits until one of the servers leads and the others that run know it.
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

// A tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - keepLog; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimRight(t.buf, "\n"))
}
