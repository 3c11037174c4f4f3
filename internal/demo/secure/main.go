// Secure shows on one machine that session data are nowhere in the clear. It makes certificates and a seal key, runs
// three nodes and two proxies that use them, has dc_test check the answers, plants a session, and then searches all
// that went over the network and all files for the session's data. It uses the programs in its own directory, loopback
// ports and a temporary directory, which it removes in the end.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/wire/client"
)

// limit is the longest that the demo may take.
const limit = 2 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(ctx, limit)
	err := run(ctx, os.Stdout)
	cancel()
	stop()
	if err != nil {
		fmt.Println("\nFAILED:", err)
		os.Exit(1)
	}
	fmt.Println("\nPASSED: session data were not found in the clear, on the network or on disk.")
}

func run(ctx context.Context, out io.Writer) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "distcache-secure-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{ctx: ctx, out: out, began: time.Now(), bin: filepath.Dir(self), dir: dir}
	defer d.stop()
	for _, step := range []func() error{d.keys, d.nodes, d.proxies, d.check, d.plant, d.search} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

type demo struct {
	ctx     context.Context
	out     io.Writer
	began   time.Time
	bin     string // the directory of the programs
	dir     string
	running []*procs.Process
	relays  []*relay
	servers []string // the nodes' addresses for the proxies
	secret  []byte
	id      []byte
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, "%5.1fs  %s\n", time.Since(d.began).Seconds(), fmt.Sprintf(format, args...))
}

func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.dir}, parts...)...)
}

// tool runs a program and waits for its end.
func (d *demo) tool(name string, args ...string) error {
	output, err := exec.CommandContext(d.ctx, filepath.Join(d.bin, name), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
	}
	return nil
}

// start starts a program, which runs on.
func (d *demo) start(name, program string, args ...string) error {
	p := &procs.Process{Name: name, Command: append([]string{filepath.Join(d.bin, program)}, args...)}
	if err := p.Start(); err != nil {
		return err
	}
	d.running = append(d.running, p)
	return nil
}

func (d *demo) stop() {
	for _, p := range d.running {
		p.Kill()
	}
	for _, r := range d.relays {
		r.close()
	}
}

// keys makes a certificate for each machine, and a seal key, which each node gets a copy of.
func (d *demo) keys() error {
	ca := d.path("ca")
	if err := d.tool("dc_admin", "certs", "init", ca, "-name", "demo"); err != nil {
		return err
	}
	for name, role := range map[string]string{
		"n1": "node", "n2": "node", "n3": "node", "web1": "client", "web2": "client",
	} {
		if err := d.tool("dc_admin", "certs", "new", ca, role, name, "127.0.0.1"); err != nil {
			return err
		}
	}
	if err := d.tool("dc_admin", "seal-key", d.path("seal.key")); err != nil {
		return err
	}
	key, err := os.ReadFile(d.path("seal.key"))
	if err != nil {
		return err
	}
	for _, n := range []string{"n1", "n2", "n3"} {
		if err := os.MkdirAll(d.path("keys", n), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(d.path("keys", n, "seal.key"), key, 0o600); err != nil {
			return err
		}
	}
	d.say("made a CA, certificates for three nodes and two web servers, and a seal key")
	return os.Remove(d.path("seal.key"))
}

// relay makes a relay to an address, and returns the relay's own address.
func (d *demo) relay(to string) (string, error) {
	r, err := newRelay(to)
	if err != nil {
		return "", err
	}
	d.relays = append(d.relays, r)
	return r.address(), nil
}

// nodes starts three nodes. They reach each other through relays, which record the traffic.
func (d *demo) nodes() error {
	ports, err := procs.FreeAddresses(6)
	if err != nil {
		return err
	}
	var cluster []string
	for i := range 3 {
		at, err := d.relay(ports[i])
		if err != nil {
			return err
		}
		cluster = append(cluster, fmt.Sprintf("n%d=%s", i+1, at))
		if at, err = d.relay(ports[3+i]); err != nil {
			return err
		}
		d.servers = append(d.servers, "TLS:"+at)
	}
	for i := range 3 {
		n := fmt.Sprintf("n%d", i+1)
		err := d.start(n, "dc_server", "-node", n, "-data", d.path("data", n),
			"-listen", "TLS:"+ports[3+i], "-peer", ports[i], "-cluster", strings.Join(cluster, ","),
			"-certs", d.path("ca", n), "-seal", d.path("keys", n, "seal.key"))
		if err != nil {
			return err
		}
	}
	for i := range 3 {
		err := d.until(func() error {
			socket := d.path("data", fmt.Sprintf("n%d", i+1), "admin.sock")
			return d.tool("dc_admin", "-connect", "UNIX:"+socket, "check")
		})
		if err != nil {
			return err
		}
	}
	d.say("started three nodes: all that they and their clients say is encrypted, and all that they keep is sealed")
	return nil
}

// until calls f until it succeeds.
func (d *demo) until(f func() error) error {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-d.ctx.Done():
			for _, p := range d.running {
				err = fmt.Errorf("%w\n%s says:\n%s", err, p.Name, p.Log())
			}
			return err
		case <-t.C:
		}
	}
}

func (d *demo) socket(web string) string { return "UNIX:" + d.path(web+".sock") }

// proxies starts a proxy on each of two web servers.
func (d *demo) proxies() error {
	for i, web := range []string{"web1", "web2"} {
		order := strings.Join(append(append([]string{}, d.servers[i:]...), d.servers[:i]...), ",")
		err := d.start(web, "dc_client", "-listen", d.socket(web), "-server", order, "-certs", d.path("ca", web))
		if err != nil {
			return err
		}
	}
	d.say("started a proxy for each of two web servers")
	return nil
}

// check has dc_test check answers, through both proxies.
func (d *demo) check() error {
	for _, web := range []string{"web1", "web2"} {
		err := d.until(func() error {
			return d.tool("dc_test", "-connect", d.socket(web), "-ops", "1500", "-workers", "4")
		})
		if err != nil {
			return err
		}
		d.say("dc_test through %s: every answer was right", web)
	}
	return nil
}

// plant stores a session through one proxy and reads it through the other.
func (d *demo) plant() error {
	var random [24]byte
	rand.Read(random[:])
	d.secret = []byte("session data " + hex.EncodeToString(random[:]))
	rand.Read(random[:])
	d.id = []byte(hex.EncodeToString(random[:16]))
	for _, web := range []string{"web1", "web2"} {
		c, err := client.Dial(d.socket(web))
		if err != nil {
			return err
		}
		defer c.Close()
		if web == "web1" {
			if err := c.Add(d.ctx, d.id, bytes.Repeat(d.secret, 10), time.Hour); err != nil {
				return fmt.Errorf("add through %s: %w", web, err)
			}
			continue
		}
		got, err := c.Get(d.ctx, d.id)
		if err != nil || !bytes.Equal(got, bytes.Repeat(d.secret, 10)) {
			return fmt.Errorf("get through %s: %d bytes, %v", web, len(got), err)
		}
	}
	d.say("stored a session through web1 and read it through web2")
	return nil
}

// search stops everything and searches all that was written and sent for the data of the planted session.
func (d *demo) search() error {
	for i := range 3 { // so that the state files contain the session
		socket := d.path("data", fmt.Sprintf("n%d", i+1), "admin.sock")
		if err := d.tool("dc_admin", "-connect", "UNIX:"+socket, "compact"); err != nil {
			return err
		}
	}
	d.stop()
	var files, withID int
	var size int64
	var bad []string
	look := func(where string, b []byte) {
		size += int64(len(b))
		if bytes.Contains(b, d.id) {
			withID++
		}
		if bytes.Contains(b, d.secret[len("session data "):]) {
			bad = append(bad, where)
		}
	}
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files++
		look(path, b)
		return err
	})
	if err != nil {
		return err
	}
	d.say("searched %d files, %d KiB; the session's id, which is no secret, is in %d of them", files, size>>10, withID)
	if withID < 3 {
		return errors.New("the session is not in the files of three nodes: the search looks in the wrong place")
	}
	size, withID = 0, 0
	for _, r := range d.relays {
		for _, b := range r.recorded() {
			look("a connection to "+r.to, b)
		}
	}
	for _, p := range d.running {
		look("the log of "+p.Name, []byte(p.Log()))
	}
	d.say("searched %d KiB of network traffic and logs", size>>10)
	if size < 100<<10 {
		return errors.New("hardly anything went over the network: the search looks in the wrong place")
	}
	if len(bad) > 0 || withID > 0 {
		return fmt.Errorf("the session is in the clear in %s; its id is in %d connections or logs",
			strings.Join(bad, ", "), withID)
	}
	return nil
}
