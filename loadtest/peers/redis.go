package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/distcache/distcache/internal/procs"
)

// redisServers is a redis master, the first of addresses, and its replicas.
type redisServers struct {
	dir       string
	addresses []string
}

func newRedis(dir string) (contestant, error) {
	free, err := procs.FreeAddresses(nodes)
	if err != nil {
		return nil, err
	}
	return &redisServers{dir, free}, nil
}

// flags make the master send the first copy to replicas at once. By default it waits 5 seconds for further replicas.
func (r *redisServers) flags() [][]string {
	var list [][]string
	_, master, _ := strings.Cut(r.addresses[0], ":")
	for i, address := range r.addresses {
		_, port, _ := strings.Cut(address, ":")
		flags := []string{"--bind", "127.0.0.1", "--port", port, "--dir", filepath.Join(r.dir, nodeName(i)),
			"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"}
		if i > 0 {
			flags = append(flags, "--replicaof", "127.0.0.1", master)
		}
		list = append(list, flags)
	}
	return list
}

// ready asks the master whether its replicas are connected and in sync.
func (r *redisServers) ready(ctx context.Context) error {
	c := r.client(1)
	defer c.Close()
	info, err := c.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if n := strings.Count(info, "state=online"); n != nodes-1 {
		return fmt.Errorf("%d of %d replicas are in sync", n, nodes-1)
	}
	return nil
}

// client makes a client that does not retry: the fate of the first try would be unknown.
func (r *redisServers) client(connections int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                     r.addresses[0],
		PoolSize:                 connections,
		MaxRetries:               -1,
		ReadTimeout:              requestTimeout,
		WriteTimeout:             requestTimeout,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// connect makes one client, of the master. Reads of several callers share pipelines, which makes three times as many of
// them. Writes don't: a pipeline would wait for the sync of the one before, while the server syncs once for all that it
// has read from its connections.
func (r *redisServers) connect(callers int) ([]client, error) {
	c := redisClient{Client: r.client(callers)}
	c.reads = c.Client
	if callers > 1 {
		together, err := c.AutoPipeline()
		if err != nil {
			_ = c.Close()
			return nil, err
		}
		c.reads = together
	}
	return []client{c}, nil
}

type redisClient struct {
	*redis.Client
	reads redis.Cmdable
}

func (c redisClient) add(ctx context.Context, id, data []byte) error {
	stored, err := c.SetNX(ctx, string(id), data, sessionTimeout).Result()
	switch {
	case err != nil:
		return err
	case !stored:
		return errExists
	}
	return nil
}

func (c redisClient) get(ctx context.Context, id []byte) ([]byte, error) {
	data, err := c.reads.Get(ctx, string(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, errMissing
	}
	return data, err
}
