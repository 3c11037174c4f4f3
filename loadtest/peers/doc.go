// Peers puts the same work on distcache, etcd and redis, side by side on one machine, and says how they compare. `make
// bench-peers` runs it. It is a module of its own, so that the clients of the others are no dependencies of distcache.
//
// # What competes
//
// Four contestants (contestant.go), three nodes each, all on the loopback, with fresh directories below the same one:
//
//   - bolt: three dc_server as they come, their log in bbolt; built from this checkout
//   - wal: the same with -raft-log wal
//   - etcd: three nodes with etcd's own settings
//   - redis: a master that appends every write to its file and syncs that (appendfsync always), and two replicas with
//     the same settings, which it does not wait for
//
// etcd and redis-server come from the system (Debian's packages etcd-server and redis-server) and are left out, with a
// word about it, when they are not there.
//
// # What is asked of them
//
// A work (work.go) is an operation and a number of callers, as in add64. A caller is a goroutine with one request under
// way at a time. Every session has a random id of 32 bytes and random data.
//
//   - add stores a new session. distcache: ADD with a timeout of an hour. etcd: a transaction that puts the key if it
//     was never created, without a lease. redis: SET NX with a timeout of an hour, to the master. An answer that does
//     not say "stored" is an error.
//   - get reads one of the sessions that were put there beforehand, picked at random. distcache: GET, which is
//     linearizable. etcd: a linearizable range of one key. redis: GET from the master; it is not linearizable when
//     masters change. An answer other than what was stored is an error.
//
// Callers are spread evenly over the three nodes and stay where they are; fewer callers than nodes go round the nodes,
// request by request, so that it does not matter who leads. For redis all go to the master.
//
// Each contestant is asked by its Go client, used in the way that gave it the best figures with many callers on two
// cores:
//
//   - distcache: wire/client, one Client and so one connection for each node, shared by the callers
//   - etcd: clientv3, two clients and so two connections for each node, shared by the callers
//   - redis: go-redis, writes by a pool with a connection for each caller, reads of several callers by its AutoPipeline
//
// # How it is measured
//
// A round takes every contestant in turn, each round beginning with another one: its servers are started, sessions to
// read are put there, the works are done one after another, the servers are stopped and their files removed. So the
// noise of the machine meets all alike, and a ratio is made of figures that are a minute apart: one for each round, of
// which the report has the median and the extremes.
//
// A work runs for a quarter of its time unmeasured. Then answers are counted that come within the time, with their
// latencies, and what servers and callers use of the processor meanwhile (usage.go), and how much is written to the
// disk, by whoever: nothing else should be going on there.
// An error counts whenever it comes.
//
// How often the servers sync the disk is counted in a pass after the rounds, which is not timed: they run under strace
// there (syncs.go), which stops them only at the system calls that sync.
package main
