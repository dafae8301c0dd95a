// Package capturer wires weir-capture.
package capturer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/weir-cdc/weir/capture"
	"github.com/weir-cdc/weir/capture/mysql"
	"github.com/weir-cdc/weir/internal/admin"
	"github.com/weir-cdc/weir/internal/config"
	"github.com/weir-cdc/weir/internal/kafka"
	"github.com/weir-cdc/weir/internal/service"
)

// Name is the binary's.
const Name = "weir-capture"

// Program is weir-capture.
func Program() service.Program {
	return service.Program{
		Name:  Name,
		Short: "publishes the changes of a MySQL or MariaDB database to Kafka",
		Examples: `weir-capture --config connector.json
			weir-capture --config connector.json --config secrets.properties --validate
			weir-capture --config connector.json --set snapshot.mode=no_data`,
		Tables:  []config.Table{mysql.Properties, mysql.ValueProperties, capture.Properties, kafka.Properties, admin.Properties(admin.CaptureListen)},
		Classes: []string{"io.debezium.connector.mysql.MySqlConnector", "io.debezium.connector.mariadb.MariaDbConnector"},
		New:     newMain,
	}
}

// main is the capture of one database.
type main struct {
	*capture.Capture
	status
}

func newMain(env service.Environment) (service.Main, error) {
	cfg, errCapture := capture.NewConfig(env.Values)
	notices(env.Values, &cfg)
	connection, errConnection := mysql.NewConnection(env.Values, cfg.Prefix)
	settings, errSettings := mysql.NewSettings(env.Values)
	if err := errors.Join(errCapture, errConnection, errSettings); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("finding this machine's name: %w", err)
	}
	run := rand.Text()
	c := capture.New(cfg, mysql.Open(connection, settings, env.Log), capture.Options{
		Log: env.Log, Registerer: env.Metrics, Instance: fmt.Sprintf("%s-%d", host, os.Getpid()), RunID: run,
	})
	env.Log.Debug("made", zap.String("run", run))
	return &main{c, newStatus(cfg.Name, c.Status)}, nil
}

// Check looks at Kafka and the database.
func (m *main) Check(ctx context.Context) error { return m.Validate(ctx) }

// Run captures until ctx ends. What starting again cannot mend is a Halt.
func (m *main) Run(ctx context.Context) error {
	err := m.Capture.Run(ctx)
	if errors.Is(err, capture.ErrNoContinuity) || errors.Is(err, capture.ErrResume) || errors.Is(err, capture.ErrTransform) {
		return &service.Halt{Err: err}
	}
	return err
}

// Status is the capture as it is now.
func (m *main) Status() admin.Status { return m.status.Status() }
