package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/wire"
	wireclient "github.com/distcache/distcache/wire/client"
)

// distcacheConns is the number of connections to each node, which all callers share.
const distcacheConns = 1

// distcache is a cluster of dc_server.
type distcache struct {
	dir     string
	log     string // the kind of Raft log
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
		members = append(members, nodeName(i)+"="+free[nodes+i])
	}
	d.cluster = strings.Join(members, ",")
	return d, nil
}

// flags set no limit of sessions, since the other contestants have none.
func (d *distcache) flags() [][]string {
	var list [][]string
	for i, listen := range d.listen {
		name := nodeName(i)
		list = append(list, []string{"-node", name, "-listen", listen, "-data", filepath.Join(d.dir, name),
			"-cluster", d.cluster, "-raft-log", d.log, "-sessions", "0"})
	}
	return list
}

// ready asks every node for a session that does not exist: a node needs a leader to answer.
func (d *distcache) ready(ctx context.Context) error { return askAll(ctx, d) }

func (d *distcache) connect(callers int) ([]client, error) {
	return connectNodes(callers, distcacheConns, func(node int) (client, error) {
		c, err := wireclient.Dial(d.listen[node],
			wireclient.WithTimeout(requestTimeout), wireclient.WithMaxInFlight(callers))
		return distcacheClient{c}, err
	})
}

type distcacheClient struct{ *wireclient.Client }

func (c distcacheClient) add(ctx context.Context, id, data []byte) error {
	err := c.Add(ctx, id, data, sessionTimeout)
	if errors.Is(err, wire.MatchingSession) {
		return errExists
	}
	return err
}

func (c distcacheClient) get(ctx context.Context, id []byte) ([]byte, error) {
	data, err := c.Get(ctx, id)
	if errors.Is(err, wire.NotOK) {
		return nil, errMissing
	}
	return data, err
}
