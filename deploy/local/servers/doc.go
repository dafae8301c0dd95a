// Package servers fetches, starts and shares the real servers that tests, benchmarks and the demo run against:
// MySQL, MariaDB, Apache Kafka, Elasticsearch, Redis and an S3 server, without containers.
//
// A server found on PATH in a fitting version is used; else it is fetched once with the ordinary package clients
// (apt-get, mvn, go) into a cache folder. Shared servers outlive the process that started them: several `go test`
// processes find one another through a data folder with a lock, a pid file and a ports file for each server, and
// `task down` stops them. Private servers end with the test that asked for them.
//
// Tests call the functions that take a testing.TB; programs open a [Local].
package servers
