// Package seal encrypts session data so that they can't be read once their time is over.
//
// A key file, the same on all nodes at first, has one ring of keys or several. A ring divides time into epochs of equal
// length, an hour unless chosen otherwise. It has a chain key for the present epoch; from a chain key follow, by
// HKDF-SHA256, the epoch's sealing key and the next epoch's chain key. Nothing gives the one before.
//
// Data are sealed, with AES-256-GCM, under the key of the epoch in which the session expires. When the log's time has
// left an epoch, every node moves its chain on ([Keys.Advance]) and overwrites what it had, in memory and in the file.
// Whoever then takes the disk and the key file can open what is live, and nothing that expired in an earlier epoch,
// wherever a copy of it may be. A session that was removed before it expired can be opened until its epoch is over.
//
// # Sealed data
//
//	offset size field
//	0      1    version 1
//	1      8    ring
//	9      8    the end of the epoch, ms since 1970, big-endian
//	17     12   nonce, random
//	29     …    ciphertext
//	…      16   tag
//
// The additional data of GCM are the first 17 bytes, the namespace, and the id. An epoch's key seals what all nodes
// together add that expires in one epoch: at 20 000 a second and an epoch of a day some 2^31 messages, for which two
// equal random nonces have a probability of 2^-35.
//
// # What a file system keeps
//
// Advance writes a new file, overwrites the old one's bytes and puts the new one in its place, so that after a crash at any
// moment one of the two has the keys. A copy-on-write file
// system or a flash disk keeps the old bytes all the same, for some time. So the key file belongs on a memory file
// system without swap (tmpfs with noswap, or ramfs), and a copy for restarts, if any, where it is kept only until the
// epoch is over. If all copies of the file are lost, so are the sessions, and nothing else.
//
// # Memory
//
// Rings' keys are in pages outside the Go heap that are locked and left out of core dumps, where the system allows that.
// On the heap are the ciphers of the epochs in use and some chain keys of epochs to come, and, until the collector has
// been there, what reading and writing the file leaves.
package seal
