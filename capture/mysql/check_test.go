package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-cdc/weir/deploy/local/servers"
	"github.com/weir-cdc/weir/internal/config"
)

// connection reads a connection to a server from properties.
func connection(t testing.TB, server servers.SQL, set map[string]string) Connection {
	t.Helper()
	properties := map[string]string{
		"name": "check", "connector.class": "io.debezium.connector.mysql.MySqlConnector", "database.hostname": server.Host,
		"database.port": fmt.Sprint(server.Port), "database.user": server.User, "database.password": server.Password,
		"database.server.id": "4711", "connect.timeout.ms": "3000",
	}
	for k, v := range set {
		properties[k] = v
	}
	v, _, err := config.Parse(properties, config.Common, Properties)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConnection(v, "check")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func findings(t testing.TB, c Connection, o CheckOptions) string {
	t.Helper()
	if o.Captures == nil {
		o.Captures = func(string, string) bool { return true }
	}
	found, err := c.check(context.Background(), &o)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("fatal=%v %s", f.Fatal, f.Error()))
	}
	return strings.Join(lines, "\n")
}

// TestCheckFindsServerSettings: each finding has the statement that mends it.
func TestCheckFindsServerSettings(t *testing.T) {
	t.Run("nothing", func(t *testing.T) {
		for name, server := range map[string]servers.SQL{"mysql": servers.MySQL(t), "mariadb": servers.MariaDB(t)} {
			if got := findings(t, connection(t, server, nil), CheckOptions{Cascades: "ignore"}); got != "" {
				t.Errorf("%s: %s", name, got)
			}
		}
	})
	t.Run("mysql", func(t *testing.T) {
		server := servers.NewMySQL(t, "--binlog-row-image=MINIMAL", "--binlog-format=STATEMENT", "--binlog-expire-logs-seconds=60")
		got := findings(t, connection(t, server, map[string]string{"database.server.id": "1"}), CheckOptions{Retention: time.Hour})
		for _, want := range []string{"fatal=true binlog_format is STATEMENT", "SET PERSIST binlog_format = ROW", "fatal=true binlog_row_image is MINIMAL",
			"SET PERSIST binlog_row_image = FULL", "fatal=true database.server.id 1 is the server's own", "fatal=false the server keeps its binary log for 1m0s only", "SET GLOBAL binlog_expire_logs_seconds = 3600"} {
			if !strings.Contains(got, want) {
				t.Errorf("no word of %q in\n%s", want, got)
			}
		}
		if got := findings(t, connection(t, server, nil), CheckOptions{PartialImages: true}); strings.Contains(got, "binlog_row_image") {
			t.Errorf("an image that is allowed is found: %s", got)
		}
	})
	t.Run("no log", func(t *testing.T) {
		got := findings(t, connection(t, servers.NewMariaDB(t, "--skip-log-bin"), nil), CheckOptions{})
		if !strings.Contains(got, "fatal=true the server writes no binary log") {
			t.Error(got)
		}
	})
}

// TestCheckFindsMissingGrants names the GRANT of each privilege that is missing.
func TestCheckFindsMissingGrants(t *testing.T) {
	for name, server := range map[string]servers.SQL{"mysql": servers.MySQL(t), "mariadb": servers.MariaDB(t)} {
		t.Run(name, func(t *testing.T) {
			db, user := server.Open(t, ""), servers.Unique(t, "u")
			if _, err := db.Exec("CREATE USER '" + user + "'@'%' IDENTIFIED BY 'secret'"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if _, err := db.Exec("DROP USER '" + user + "'@'%'"); err != nil {
					t.Error(err)
				}
			})
			c := connection(t, server, map[string]string{"database.user": user, "database.password": "secret"})
			got := findings(t, c, CheckOptions{Snapshot: true, Cascades: "ignore"})
			for _, want := range []string{"GRANT REPLICATION SLAVE ON *.* TO '" + user + "'@'%'", "GRANT REPLICATION CLIENT ON *.*", "GRANT SELECT ON *.*"} {
				if !strings.Contains(got, want) {
					t.Errorf("no word of %q in\n%s", want, got)
				}
			}
			for _, grant := range strings.Split(got, "\n") {
				_, statement, _ := strings.Cut(grant, "mend it with: ")
				if _, err := db.Exec(statement); err != nil {
					t.Errorf("%s: %v", statement, err)
				}
			}
			if got := findings(t, c, CheckOptions{Snapshot: true, Cascades: "ignore"}); got != "" {
				t.Errorf("after doing what was said: %s", got)
			}
		})
	}
}

// TestCheckFindsCascades: the rows that a foreign key changes are in the log of
// MySQL from 9.6 on, and in no other's.
func TestCheckFindsCascades(t *testing.T) {
	for name, server := range map[string]servers.SQL{"mysql": servers.MySQL(t), "mariadb": servers.MariaDB(t)} {
		t.Run(name, func(t *testing.T) {
			database := server.Database(t)
			db := server.Open(t, database)
			for _, s := range []string{"CREATE TABLE p (id INT PRIMARY KEY)", "CREATE TABLE c (id INT PRIMARY KEY, p INT, CONSTRAINT fk FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)"} {
				if _, err := db.Exec(s); err != nil {
					t.Fatal(err)
				}
			}
			o := CheckOptions{Cascades: "fail", Captures: func(d, _ string) bool { return d == database }}
			got := findings(t, connection(t, server, nil), o)
			if found := strings.Contains(got, "fatal=true "+database+".c has the foreign key fk to p (ON DELETE CASCADE"); found != (name == "mariadb") {
				t.Errorf("found: %s", got)
			}
		})
	}
}

// TestConnectionErrors: what is wrong is said in plain words, and the password
// never.
func TestConnectionErrors(t *testing.T) {
	server := servers.MySQL(t)
	for name, c := range map[string]struct {
		set  map[string]string
		want string
	}{
		"password": {map[string]string{"database.password": "hunter2"}, "Access denied for user"},
		"port":     {map[string]string{"database.port": "1"}, "connection refused"},
		"host":     {map[string]string{"database.hostname": "no.such.host.invalid"}, "no such host"},
		"identity": {map[string]string{"database.ssl.mode": "verify_identity"}, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connection(t, server, c.set)
			_, err := conn.open(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

// TestTLSModes: required encrypts, disabled does not, and verify_ca accepts the
// server's own authority.
func TestTLSModes(t *testing.T) {
	server := servers.MySQL(t)
	var authority string
	if err := server.Open(t, "").QueryRow("SELECT CONCAT(@@datadir, @@ssl_ca)").Scan(&authority); err != nil {
		t.Fatal(err)
	}
	for mode, encrypted := range map[string]bool{"disabled": false, "preferred": true, "required": true, "verify_ca": true} {
		t.Run(mode, func(t *testing.T) {
			c := connection(t, server, map[string]string{"database.ssl.mode": mode, "database.ssl.ca": authority})
			s, err := c.open(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			row, err := s.row(context.Background(), "SHOW STATUS LIKE 'Ssl_cipher'")
			if err != nil || (row[1] != "") != encrypted {
				t.Errorf("the cipher is %v, %v", row, err)
			}
		})
	}
}

// TestPreferredWithoutTLS: preferred takes what a server without TLS has,
// required does not.
func TestPreferredWithoutTLS(t *testing.T) {
	server := servers.NewMySQL(t, "--tls-version=")
	for mode, works := range map[string]bool{"preferred": true, "required": false} {
		c := connection(t, server, map[string]string{"database.ssl.mode": mode})
		s, err := c.open(context.Background())
		if (err == nil) != works {
			t.Errorf("%s: %v", mode, err)
		}
		if err == nil {
			s.Close()
		}
	}
}

// TestQueriesEndWithTheirContext: a statement that takes long does not outlive
// its context.
func TestQueriesEndWithTheirContext(t *testing.T) {
	c := connection(t, servers.MySQL(t), nil)
	s, err := c.open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := s.query(ctx, "SELECT SLEEP(20)"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("it ended with %v after %s", err, time.Since(start))
	}
}
