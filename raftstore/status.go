package raftstore

// A Role is what a node is doing in its cluster.
type Role string

// The roles of a node.
const (
	RoleLeader      Role = "leader"
	RoleFollower    Role = "follower"
	RoleCandidate   Role = "candidate"   // it has no leader, and asks for votes
	RoleJoining     Role = "joining"     // it has not been taken into a cluster yet
	RoleRemoved     Role = "removed"     // it was taken out of its cluster
	RoleStopped     Role = "stopped"     // it is closing, or has failed
	RoleUnreachable Role = "unreachable" // another node asked it and got no answer
)

// Status is one node's own view of itself and its cluster.
type Status struct {
	Node      string `json:"node"`
	Address   string `json:"address,omitempty"` // where other nodes reach it; empty without a peer port
	Role      Role   `json:"role"`
	Reason    string `json:"reason,omitempty"` // why it does not serve, when it does not
	Voter     bool   `json:"voter"`
	Leader    string `json:"leader,omitempty"`         // the leader's name, empty while there is none
	LeaderAt  string `json:"leader_address,omitempty"` // the leader's peer address
	Term      uint64 `json:"term"`
	LastIndex uint64 `json:"last_index"` // of the log
	Commit    uint64 `json:"commit_index"`
	Applied   uint64 `json:"applied_index"` // of the state machine
	Flushed   uint64 `json:"flushed_index"` // what the state file holds
	Sessions  int    `json:"sessions"`
	Limit     uint64 `json:"sessions_limit"` // 0: none
	StateSize int64  `json:"state_bytes"`    // of the state file
	LogSize   int64  `json:"log_bytes"`      // of the log file
	Reads     string `json:"reads"`          // linearizable, leader or local
}

// A Member is one node of the cluster as the answering node sees it.
type Member struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Voter    bool   `json:"voter"`
	Role     Role   `json:"state"`
	Applied  uint64 `json:"applied_index"`
	Lag      uint64 `json:"lag"` // log entries behind the leader
	Sessions int    `json:"sessions"`
	Error    string `json:"error,omitempty"` // why it is unreachable
}
