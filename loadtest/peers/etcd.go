package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/distcache/distcache/internal/procs"
)

// etcdQuota is how large an etcd database may become, in bytes. Longer runs soon reach etcd's default of 2 GiB.
const etcdQuota = 8 << 30

// etcdConns is the number of connections to each node, which all callers share.
const etcdConns = 2

// etcd is a cluster of etcd.
type etcd struct {
	dir     string
	clients []string // URLs
	peers   []string
	cluster string // the members, in a flag's form
}

func newEtcd(dir string) (contestant, error) {
	free, err := procs.FreeAddresses(2 * nodes)
	if err != nil {
		return nil, err
	}
	e := &etcd{dir: dir}
	var members []string
	for i := range nodes {
		e.clients = append(e.clients, "http://"+free[i])
		e.peers = append(e.peers, "http://"+free[nodes+i])
		members = append(members, nodeName(i)+"="+e.peers[i])
	}
	e.cluster = strings.Join(members, ",")
	return e, nil
}

func (e *etcd) flags() [][]string {
	var list [][]string
	for i := range nodes {
		name := nodeName(i)
		list = append(list, []string{"--name", name, "--data-dir", filepath.Join(e.dir, name),
			"--listen-client-urls", e.clients[i], "--advertise-client-urls", e.clients[i],
			"--listen-peer-urls", e.peers[i], "--initial-advertise-peer-urls", e.peers[i],
			"--initial-cluster", e.cluster, "--initial-cluster-state", "new",
			"--quota-backend-bytes", fmt.Sprint(etcdQuota), "--logger", "zap"})
	}
	return list
}

// ready asks every node for a key that does not exist: a node needs a leader to answer.
func (e *etcd) ready(ctx context.Context) error { return askAll(ctx, e) }

func (e *etcd) connect(callers int) ([]client, error) {
	return connectNodes(callers, etcdConns, func(node int) (client, error) {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{e.clients[node]}, Logger: zap.NewNop()})
		return etcdClient{c}, err
	})
}

type etcdClient struct{ *clientv3.Client }

func (c etcdClient) add(ctx context.Context, id, data []byte) error {
	key := string(id)
	answer, err := c.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, string(data))).
		Commit()
	switch {
	case err != nil:
		return err
	case !answer.Succeeded:
		return errExists
	}
	return nil
}

func (c etcdClient) get(ctx context.Context, id []byte) ([]byte, error) {
	answer, err := c.Get(ctx, string(id))
	switch {
	case err != nil:
		return nil, err
	case len(answer.Kvs) == 0:
		return nil, errMissing
	}
	return answer.Kvs[0].Value, nil
}
