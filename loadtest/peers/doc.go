// Peers gives distcache, etcd and redis the same work, side by side on one machine, and compares them. `make
// bench-peers` runs it. It is a module of its own, so that the clients of etcd and redis are no dependencies of
// distcache.
//
// # What competes
//
// Four contestants (contestant.go) have three nodes each, on the loopback, with fresh directories on the same disk:
//
//   - bolt: three dc_server as they come, their log in bbolt; built from this checkout
//   - wal: the same with -raft-log wal
//   - etcd: three nodes with etcd's own settings
//   - redis: a master that appends every write to its file and syncs that (appendfsync always), and two replicas with
//     the same settings, which it does not wait for
//
// etcd and redis-server come from the system (Debian's packages etcd-server and redis-server). A contestant that is not
// installed is left out, with a message.
//
// # What is asked of them
//
// A work (work.go) is an operation and a number of callers, such as add64. A caller is a goroutine with one request
// under way at a time. Every session has a random id of 32 bytes and random data.
//
//   - add stores a new session. distcache: ADD with a timeout of an hour. etcd: a transaction that puts the key if it
//     was never created, without a lease. redis: SET NX with a timeout of an hour, to the master. An answer that does
//     not say "stored" is an error.
//   - get reads one of the sessions that were put there beforehand, picked at random. distcache: GET, which is
//     linearizable. etcd: a linearizable range of one key. redis: GET from the master; it is not linearizable when
//     masters change. An answer other than what was stored is an error.
//
// Callers are spread evenly over the three nodes, and stay with a node. When there are fewer callers than nodes, they
// go round the nodes, request by request, so that it does not matter which node leads. With redis all requests go to
// the master.
//
// Each contestant is asked by its Go client, used in the way that was fastest with many callers on two cores:
//
//   - distcache: wire/client, one Client and so one connection for each node, shared by the callers
//   - etcd: clientv3, two clients and so two connections for each node, shared by the callers
//   - redis: go-redis, writes by a pool with a connection for each caller, reads of several callers by its AutoPipeline
//
// # How it is measured
//
// In a round every contestant has a turn, and each round begins with another contestant. In a turn the servers are
// started, sessions are preloaded, the works are done one after another, the servers are stopped and their files
// removed. So noise of the machine meets all alike. Ratios are of figures from the same round, about a minute apart.
// The report shows the median, least and greatest ratio of the rounds.
//
// A work runs unmeasured for a quarter of its time. Then it is measured: answers and their latencies, the processor
// time of servers and callers (usage.go), and how much any process writes to the disk, which should have no other use.
// Errors count from the beginning.
//
// After the rounds, a pass that is not timed counts how often the servers sync the disk. There they run under strace
// (syncs.go), which stops them only at the system calls that sync.
package main
