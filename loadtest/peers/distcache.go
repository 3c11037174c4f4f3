package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// distcacheConns is how many connections to each node serve all callers.
const distcacheConns = 1

// distcache is a cluster of dc_server.
type distcache struct {
	dir     string
	log     string // the kind of the Raft log
	listen  []string
	cluster string
}

func newDistcache(dir, log string) (contestant, error) {
	free, err := procs.FreeAddresses(2 * nodes)
	if err != nil {
		return nil, err
	}
	d := &distcache{dir: dir, log: log}
	var members []string
	for i := range nodes {
		d.listen = append(d.listen, "IP:"+free[i])
		members = append(members, fmt.Sprintf("n%d=%s", i+1, free[nodes+i]))
	}
	d.cluster = strings.Join(members, ",")
	return d, nil
}

// commands leave the number of sessions unlimited, as it is with the others.
func (d *distcache) commands() []command {
	var list []command
	for i, listen := range d.listen {
		name := fmt.Sprintf("n%d", i+1)
		list = append(list, command{name, []string{"-node", name, "-listen", listen, "-data", filepath.Join(d.dir, name),
			"-cluster", d.cluster, "-raft-log", d.log, "-sessions", "0"}})
	}
	return list
}

// ready asks every node for a session that is not there, which takes a leader to answer.
func (d *distcache) ready(ctx context.Context) error {
	for _, address := range d.listen {
		c, err := client.Dial(address)
		if err != nil {
			return err
		}
		_, err = c.Get(ctx, make([]byte, idLen))
		_ = c.Close()
		if !errors.Is(err, wire.NotOK) {
			return fmt.Errorf("%s: %w", address, err)
		}
	}
	return nil
}

func (d *distcache) connect(callers int) (store, error) {
	s := &distcacheStore{}
	for i := range ways(callers, distcacheConns) {
		c, err := client.Dial(d.listen[i%nodes], client.WithTimeout(requestTimeout), client.WithMaxInFlight(callers))
		if err != nil {
			s.close()
			return nil, err
		}
		s.clients = append(s.clients, c)
	}
	return s, nil
}

// distcacheStore has clients of one node after another.
type distcacheStore struct{ clients []*client.Client }

func (s *distcacheStore) add(ctx context.Context, way int, id, data []byte) error {
	err := s.clients[way%len(s.clients)].Add(ctx, id, data, sessionTimeout)
	if errors.Is(err, wire.MatchingSession) {
		return errExists
	}
	return err
}

func (s *distcacheStore) get(ctx context.Context, way int, id []byte) ([]byte, error) {
	data, err := s.clients[way%len(s.clients)].Get(ctx, id)
	if errors.Is(err, wire.NotOK) {
		return nil, errMissing
	}
	return data, err
}

func (s *distcacheStore) close() {
	for _, c := range s.clients {
		_ = c.Close()
	}
}
