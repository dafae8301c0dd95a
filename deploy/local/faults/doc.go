// Package faults is a network that fails on purpose, for tests against real
// servers: a TCP proxy that cuts, stalls and delays connections, and an HTTP
// proxy that refuses requests, loses answers and breaks either off in the
// middle. What fails when is the test's to say: by a call, a rule, or a plan
// that a seed decides.
//
// Both listen on a port of their own on the loopback, live in the process of the
// test, and are used like the servers of net/http/httptest:
//
//	net := faults.NewTCP(redisAddress)
//	defer net.Close()
//	client.Dial(net.Addr)
//	net.CutAfter(0) // the next answer is lost, though what was asked is done
package faults
