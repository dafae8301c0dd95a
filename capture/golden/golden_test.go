package golden

import (
	"context"
	"flag"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

var folder = flag.String("golden", "../../testdata/golden", "folder of recorded cases")

// TestGolden demands every record of every topic of the recorded cases: the
// stream from the recorded log, the snapshot from a server.
func TestGolden(t *testing.T) {
	folders, err := Folders(*folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 10 {
		t.Fatalf("%s has %d cases, want the ten of the project", *folder, len(folders))
	}
	for _, dir := range folders {
		c, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			report := &Report{Case: c.Name, limit: 3}
			ctx, log := t.Context(), zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
			if err := c.CompareStream(ctx, log, report); err != nil {
				t.Fatalf("stream: %v", err)
			}
			if err := c.CompareSnapshot(ctx, serverFor(t, c), log, report); err != nil {
				t.Fatalf("snapshot: %v", err)
			}
			if !report.Passed() {
				t.Errorf("%s", report)
			}
			if n := report.Stream + report.Snapshot; n != len(c.Records) || n == 0 {
				t.Errorf("%d of %d records were compared", n, len(c.Records))
			}
			t.Logf("%s", report)
		})
	}
}

// serverFor is the shared server of the case's kind.
func serverFor(t *testing.T, c *Case) Server {
	s := servers.MySQL
	if c.MariaDB() {
		s = servers.MariaDB
	}
	at := s(t)
	return Server{Host: at.Host, Port: at.Port, User: at.User, Password: at.Password}
}

// TestCompareReportsInOrder runs the same as the program does, on streams only,
// which need no server, and with a folder that is no case.
func TestCompareReportsInOrder(t *testing.T) {
	folders, err := Folders(*folder, "types-numeric", "no-such-case", "keys")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var reports []*Report
	for r := range Compare(ctx, folders, Options{Part: PartStream, Parallel: 2, Differences: 1, Log: zaptest.NewLogger(t)}) {
		reports = append(reports, r)
	}
	if len(reports) != 3 || reports[0].Case != "types-numeric" || reports[2].Case != "keys" {
		t.Fatalf("got %v", reports)
	}
	if !reports[0].Passed() || reports[1].Err == nil || !reports[2].Passed() {
		t.Errorf("got\n%s%s%s", reports[0], reports[1], reports[2])
	}
}
