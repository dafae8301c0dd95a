package servers

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// loopback is the address every server listens on.
const loopback = "127.0.0.1"

// choosePorts returns the preferred ports, each replaced by a free one when it is zero or taken. The choice is kept in
// file, and made again only when the file is missing or one of its ports has been taken since.
func choosePorts(file string, preferred []int) ([]int, error) {
	ports := make([]int, len(preferred))
	var kept []int
	if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &kept) == nil && len(kept) == len(ports) {
		preferred = kept
		waitFree(kept)
	}
	for i, port := range preferred {
		if port == 0 || !free(port) {
			var err error
			if port, err = freePort(); err != nil {
				return nil, err
			}
		}
		ports[i] = port
	}
	text, err := json.Marshal(ports)
	if err != nil {
		return nil, err
	}
	return ports, os.WriteFile(file, text, 0o644)
}

// waitFree waits a moment for the ports of a server that was just killed, whose socket outlives it a little: clients
// expect it at the same address.
func waitFree(ports []int) {
	for range 100 {
		if !slices.ContainsFunc(ports, func(port int) bool { return port != 0 && !free(port) }) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// readPorts returns the ports that a running server was started with.
func readPorts(file string) (ports []int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ports, json.Unmarshal(text, &ports)
}

// freePort draws a port nobody listens on, below the range from which kernels take ports for outgoing connections.
func freePort() (int, error) {
	for range 200 {
		if port := 20_000 + rand.IntN(12_000); free(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("finding a free port: 200 ports between 20000 and 32000 are taken")
}

// free tells whether port can be listened on.
func free(port int) bool {
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", address(port)) // listening on an address never waits
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// address is host:port on the loopback interface.
func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
