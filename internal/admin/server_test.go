package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weir-cdc/weir/internal/config"
)

// fake is a component that notes what it was asked.
type fake struct {
	status  Status
	ready   error
	answer  error
	asked   []string
	skipped Record
}

func (f *fake) Status() Status { return f.status }
func (f *fake) Ready() error   { return f.ready }
func (f *fake) Pause(context.Context) error {
	f.asked = append(f.asked, "pause")
	return f.answer
}
func (f *fake) Resume(context.Context) error {
	f.asked = append(f.asked, "resume")
	return f.answer
}
func (f *fake) Skip(_ context.Context, at Record) error {
	f.asked = append(f.asked, "skip")
	f.skipped = at
	return f.answer
}

// serve starts a server for f and returns its address.
func serve(t *testing.T, cfg Config, f *fake) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	records := prometheus.NewCounter(prometheus.CounterOpts{Name: "weir_records_total", Help: "Records."})
	registry.MustRegister(records)
	records.Add(3)
	cfg.Listen = "127.0.0.1:0"
	s, err := Listen(t.Context(), cfg, f, registry, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Address()
}

func get(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestPaths(t *testing.T) {
	f := &fake{}
	base := "http://" + serve(t, Config{}, f)
	for _, c := range []struct {
		method, path, body string
		ready, answer      error
		code               int
		want               string
	}{
		{"GET", "/healthz", "", errors.New("starting"), nil, 200, "ok"},
		{"GET", "/readyz", "", nil, nil, 200, "ok"},
		{"GET", "/readyz", "", errors.New("waiting for the lead"), nil, 503, "waiting for the lead"},
		{"GET", "/metrics", "", nil, nil, 200, "weir_records_total 3"},
		{"GET", "/status", "", nil, nil, 200, `"state": ""`},
		{"POST", "/pause", "", nil, nil, 204, ""},
		{"POST", "/resume", "", nil, errors.New("it is not paused"), 409, `"message": "it is not paused"`},
		{"POST", "/skip", `{"topic":"t","partition":1,"offset":2}`, nil, nil, 204, ""},
		{"POST", "/skip", `{"topic":"t","partition":1}`, nil, nil, 400, "want a JSON object with topic, partition and offset"},
		{"POST", "/skip", `{"topic":"t","partition":1,"offset":2,"x":3}`, nil, nil, 400, `unknown field`},
		{"POST", "/skip", strings.Repeat(" ", largestBody) + "{}", nil, nil, 400, "too large"},
		{"POST", "/skip", `{"topic":"t","partition":1,"offset":2}`, nil, fmt.Errorf("skipping: %w", errors.ErrUnsupported), 501, "unsupported"},
		{"GET", "/pause", "", nil, nil, 404, "POST /pause"},
		{"GET", "/", "", nil, nil, 404, "want GET /metrics"},
	} {
		f.ready, f.answer = c.ready, c.answer
		code, text := get(t, c.method, base+c.path, c.body)
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s %s %.40s: %d %s; want %d %s", c.method, c.path, c.body, code, text, c.code, c.want)
		}
	}
	if f.skipped != (Record{"t", 1, 2}) {
		t.Error(f.skipped)
	}
}

func TestForeignPagesCannotSteer(t *testing.T) {
	f := &fake{}
	base := "http://" + serve(t, Config{}, f)
	code, _ := get(t, "POST", base+"/pause", "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	if code != http.StatusForbidden || len(f.asked) != 0 {
		t.Error(code, f.asked)
	}
}

func TestClientReadsWhatTheServerWrites(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	want := Status{
		Name: "orders", Type: "sink", Component: "weir-redis", Version: "v1", Started: at,
		Connector: Worker{Running, "h:1"}, Group: "weir-orders", Lag: Lag{5, 1.5}, Rates: Rates{10, 1000, 0},
		Tasks: []Task{{ID: 0, State: Failed, Worker: "h:1", Partition: &Partition{"t", 3, 7, 12}, Lag: Lag{5, 1.5}, Trace: "x",
			Problem: &Problem{"x", "weirctl skip", at, &Record{"t", 3, 7}}}},
		Snapshot: &Snapshot{"RUNNING", at, 3, 9, []TableSnapshot{{"shop.orders", 3, 9, false}}},
	}
	f := &fake{status: want}
	client := &Client{URL: "http://" + serve(t, Config{}, f)}
	got, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(client.Pause(t.Context()), client.Resume(t.Context()), client.Skip(t.Context(), Record{"t", 3, 7})); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"pause", "resume", "skip"}, f.asked); diff != "" || f.skipped != (Record{"t", 3, 7}) {
		t.Error(diff, f.skipped)
	}
	f.answer = errors.New("it is not stuck")
	if err := client.Skip(t.Context(), Record{}); err == nil || err.Error() != client.URL+": it is not stuck" || errors.Is(err, ErrNoAnswer) {
		t.Error(err)
	}
}

func TestClientWithoutServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, err = (&Client{URL: "http://" + address}).Status(t.Context())
	if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), address) {
		t.Error(err)
	}
}

func TestAuthentication(t *testing.T) {
	f := &fake{}
	address := "http://" + serve(t, Config{User: "ops", Password: config.NewSecret("hunter2")}, f)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401, "/status": 401} {
		if code, text := get(t, "GET", address+path, ""); code != want || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	for _, c := range []struct {
		user, password string
		ok             bool
	}{{"ops", "hunter2", true}, {"ops", "hunter", false}, {"", "hunter2", false}, {"ops\x00hunter2", "", false}} {
		client := &Client{URL: address, User: c.user, Password: config.NewSecret(c.password)}
		if err := client.Pause(t.Context()); (err == nil) != c.ok {
			t.Errorf("%q %q: %v", c.user, c.password, err)
		}
	}
	if len(f.asked) != 1 {
		t.Error(f.asked)
	}
}

func TestTLS(t *testing.T) {
	certificate, key, pool := certificates(t)
	address := serve(t, Config{Certificate: certificate, Key: key}, &fake{status: Status{Name: "orders"}})
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	s, err := (&Client{URL: "https://" + address, HTTP: trusting}).Status(t.Context())
	if err != nil || s.Name != "orders" {
		t.Error(s.Name, err)
	}
	if _, err := (&Client{URL: "https://" + address}).Status(t.Context()); err == nil {
		t.Error("an unknown certificate is trusted")
	}
	if _, err := (&Client{URL: "http://" + address}).Status(t.Context()); err == nil {
		t.Error("plain HTTP is served")
	}
	if _, err := Listen(t.Context(), Config{Listen: "127.0.0.1:0", Certificate: key, Key: key}, &fake{}, prometheus.NewRegistry(), zap.NewNop()); err == nil {
		t.Error("a key is taken for a certificate")
	}
}

// certificates writes a self-signed certificate for 127.0.0.1 and its key.
func certificates(t *testing.T) (certificate, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := errors.Join(os.WriteFile(certificate, chain, 0o600), os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	return certificate, key, pool
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		properties map[string]string
		want       string
	}{
		"defaults":    {nil, ""},
		"no password": {map[string]string{"admin.user": "u"}, "admin.password is not set: want the password of admin.user"},
		"no user":     {map[string]string{"admin.password": "p"}, "admin.user is not set: want the user of admin.password"},
		"no key":      {map[string]string{"admin.ssl.certificate": "c"}, "admin.ssl.key is not set: want the key of admin.ssl.certificate"},
		"no cert":     {map[string]string{"admin.ssl.key": "c"}, "admin.ssl.certificate is not set: want the certificate of admin.ssl.key"},
		"no port":     {map[string]string{"admin.listen": "localhost"}, `admin.listen = "localhost": want host:port, such as 127.0.0.1:9400`},
	} {
		v, _, err := config.Parse(c.properties, Properties(RedisListen))
		if err == nil {
			var cfg Config
			if cfg, err = NewConfig(v); err == nil && cfg.Listen != RedisListen {
				t.Errorf("%s: %v", name, cfg)
			}
		}
		if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if err := config.Lint(Properties(CaptureListen)); err != nil {
		t.Error(err)
	}
}

func TestPortInUse(t *testing.T) {
	address := serve(t, Config{}, &fake{})
	_, err := Listen(t.Context(), Config{Listen: address}, &fake{}, prometheus.NewRegistry(), zap.NewNop())
	if err == nil || !strings.Contains(err.Error(), "admin.listen") {
		t.Error(err)
	}
}
