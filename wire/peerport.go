package wire

// PeerPort is what a peer port, where the nodes of a cluster talk to each other, answers to a client's HAVE of an empty
// id. No session has such an id, and no status so many bytes: a client that does not know this answer takes it for
// corruption.
const PeerPort = "nodes of a cluster talk to each other on this port, which is not for clients"
