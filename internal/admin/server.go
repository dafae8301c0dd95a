package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

const (
	largestBody     = 64 << 10
	shutdownTimeout = 2 * time.Second
)

// Server is a component's HTTP port.
type Server struct {
	listener net.Listener
	server   http.Server
	log      *zap.Logger
}

// Listen opens the port; Serve answers on it.
func Listen(ctx context.Context, cfg Config, component Component, metrics prometheus.Gatherer, log *zap.Logger) (*Server, error) {
	secure, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	var open net.ListenConfig
	listener, err := open.Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening at admin.listen: %w", err)
	}
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	s := &Server{listener: listener, log: log}
	s.server = http.Server{
		Handler:           handler(cfg, component, metrics, log),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		ErrorLog:          zap.NewStdLog(log),
	}
	return s, nil
}

// Address is where the server listens, host:port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve answers until ctx ends, then finishes what it is answering for 2 s.
func (s *Server) Serve(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(s.listener) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving HTTP: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.server.Shutdown(late); err != nil {
		_ = s.server.Close()
	}
	_ = s.listener.Close() // had ctx ended before the server knew of it
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	return nil
}

func handler(cfg Config, component Component, metrics prometheus.Gatherer, log *zap.Logger) http.Handler {
	closed := http.NewServeMux()
	closed.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(log)}))
	closed.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, component.Status()) })
	closed.HandleFunc("POST /pause", steer(func(r *http.Request) error { return component.Pause(r.Context()) }))
	closed.HandleFunc("POST /resume", steer(func(r *http.Request) error { return component.Resume(r.Context()) }))
	closed.HandleFunc("POST /skip", steer(skip(component)))
	closed.HandleFunc("/", notFound)

	open := http.NewServeMux()
	open.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { line(w, http.StatusOK, "ok") })
	open.HandleFunc("GET /readyz", ready(component))
	// A web page that an operator visits must not steer the components his
	// machine reaches.
	open.Handle("/", authenticated(cfg, http.NewCrossOriginProtection().Handler(closed)))
	return open
}

func ready(component Component) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := component.Ready(); err != nil {
			line(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		line(w, http.StatusOK, "ok")
	}
}

// errBadRequest is a request that cannot be understood.
var errBadRequest = errors.New("want a JSON object with topic, partition and offset")

func skip(component Component) func(*http.Request) error {
	return func(r *http.Request) error {
		var at struct {
			Topic             *string
			Partition, Offset *int64
		}
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&at); err != nil {
			return fmt.Errorf("%w: %w", errBadRequest, err)
		}
		if at.Topic == nil || at.Partition == nil || at.Offset == nil {
			return errBadRequest
		}
		return component.Skip(r.Context(), Record{*at.Topic, int32(*at.Partition), *at.Offset})
	}
}

// steer answers a POST: 204 when it is done, else Kafka Connect's error object.
func steer(do func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, largestBody)
		err := do(r)
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, errBadRequest):
			refuse(w, http.StatusBadRequest, err.Error())
		case errors.Is(err, errors.ErrUnsupported):
			refuse(w, http.StatusNotImplemented, err.Error())
		default:
			refuse(w, http.StatusConflict, err.Error())
		}
	}
}

func notFound(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusNotFound, r.Method+" "+r.URL.Path+": want GET /metrics, /healthz, /readyz, /status, or POST /pause, /resume, /skip")
}

// authenticated lets pass who knows the configured user and password.
func authenticated(cfg Config, next http.Handler) http.Handler {
	if cfg.User == "" {
		return next
	}
	want := sha256.Sum256([]byte(cfg.User + "\x00" + cfg.Password.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got := sha256.Sum256([]byte(user + "\x00" + password))
		if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="weir", charset="UTF-8"`)
			refuse(w, http.StatusUnauthorized, "want the user and password of admin.user and admin.password")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusal is Kafka Connect's error object.
type refusal struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

func refuse(w http.ResponseWriter, code int, message string) {
	answer(w, code, refusal{code, message})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(body) // who asked is gone
}

func line(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text)
}
