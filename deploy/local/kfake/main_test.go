package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestTheBrokerTakesTransactionsUntilItIsAskedToEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-port", strconv.Itoa(port)}) }()

	wait, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:"+strconv.Itoa(port)), kgo.TransactionalID("t"),
		kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("absent"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for client.Ping(wait) != nil && wait.Err() == nil {
		time.Sleep(20 * time.Millisecond)
	}
	if _, _, err := client.ProducerID(wait); err != nil {
		t.Fatal(err)
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestThePortHasToBeFree(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = run(t.Context(), []string{"-port", strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)})
	var refused *net.OpError
	if !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}
