package processes

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weir-cdc/weir/internal/admin"
)

// Component is one of our binaries as a process.
type Component struct {
	*Process
	admin.Client
	// Config is the path of its configuration.
	Config string
}

// Connector is a connector file.
type Connector struct {
	Name   string            `json:"name"`
	Config map[string]string `json:"config"`
}

// ReadConnector reads a connector file and sets properties over it.
func ReadConnector(path string, over map[string]string) (Connector, error) {
	var c Connector
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("reading connector %s: %w", path, err)
	}
	for name, value := range over {
		c.Config[name] = value
	}
	return c, nil
}

// startPatience is how long a component may take to serve its HTTP port: far
// longer than it ever does, for a machine that is busy with other things.
const startPatience = 3 * time.Minute

// StartComponent writes a component's configuration and starts its binary with
// it, on a free port for HTTP. It returns when the component answers there. The
// second of a binary has -2 behind its name, and so on.
func (g *Group) StartComponent(ctx context.Context, binary string, connector Connector, env ...string) (*Component, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	connector.Config["admin.listen"] = address
	text, err := json.MarshalIndent(connector, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the configuration of %s: %w", connector.Name, err)
	}
	file := filepath.Join(g.folder, strings.TrimPrefix(g.name(binary), "weir-")+".json")
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("writing the configuration of %s: %w", connector.Name, err)
	}
	return g.startComponent(ctx, address, file, Command{Program: binary, Env: env})
}

// StartConfigured starts a binary with a configuration file as it is, and with
// properties set over it, each name=value; on a free port for HTTP. It returns
// when the component answers there.
func (g *Group) StartConfigured(ctx context.Context, binary, file string, set []string, env ...string) (*Component, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	c := Command{Program: binary, Env: env}
	for _, property := range append([]string{"admin.listen=" + address}, set...) {
		c.Args = append(c.Args, "--set", property)
	}
	return g.startComponent(ctx, address, file, c)
}

// startComponent runs a command with a configuration that makes it listen on an
// address.
func (g *Group) startComponent(ctx context.Context, address, file string, run Command) (_ *Component, err error) {
	run.Name, run.Args = g.name(run.Program), append([]string{"--config", file}, run.Args...)
	c := &Component{Client: admin.Client{URL: "http://" + address}, Config: file}
	if c.Process, err = g.Start(run); err != nil {
		return nil, err
	}
	return c, c.await(ctx)
}

func freeAddress(ctx context.Context) (string, error) {
	port, err := FreePort(ctx)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

// Restart starts the component again after Kill or Stop, and returns when it
// answers.
func (c *Component) Restart(ctx context.Context) error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.await(ctx)
}

func (c *Component) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return c.Until(ctx, func(ctx context.Context) error {
		_, err := c.Status(ctx)
		return err
	})
}

// FreePort draws a port of 127.0.0.1 that nobody listens on, below those that
// kernels give to outgoing connections and those that servers of tests prefer.
func FreePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	for range 200 {
		port := 12_000 + rand.IntN(8_000)
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("finding a free port: 200 ports between 12000 and 20000 are taken")
}
