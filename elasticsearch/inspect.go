package elasticsearch

import "net/http"

// IndexName is the name under which readers find the documents of a route: the
// alias, or the index where there are no aliases.
func (s *Sink) IndexName(route string) (string, error) { return s.indexName(route) }

// Perform sends a request whose URL has a path only to a node of the cluster,
// for tools that read.
func (s *Sink) Perform(r *http.Request) (*http.Response, error) { return s.client.Perform(r) }
