package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
)

// Client asks a component's HTTP port.
type Client struct {
	// URL is http://host:port or https://host:port.
	URL      string
	User     string
	Password config.SecretText
	// HTTP is the client to use; nil is http.DefaultClient.
	HTTP *http.Client
}

// Status asks for the component's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.do(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// Pause stops the component's work, Resume goes on.
func (c *Client) Pause(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/pause", nil, nil)
}

// Resume goes on after Pause.
func (c *Client) Resume(ctx context.Context) error {
	return c.do(ctx, http.MethodPost, "/resume", nil, nil)
}

// Skip moves a stuck partition past the record at.
func (c *Client) Skip(ctx context.Context, at Record) error {
	return c.do(ctx, http.MethodPost, "/skip", at, nil)
}

// ErrNoAnswer is a component that cannot be reached: nothing listens there, or
// something that is no component.
var ErrNoAnswer = errors.New("no answer")

func (c *Client) do(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("writing the request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("asking %s: %w", c.URL, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if c.User != "" {
		request.SetBasicAuth(c.User, c.Password.Reveal())
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err
		}
		return fmt.Errorf("%s: %w: %w", c.URL, ErrNoAnswer, err)
	}
	defer func() { _ = response.Body.Close() }() // all that matters was read
	if response.StatusCode >= http.StatusBadRequest {
		return c.refused(response)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: %w: reading its status: %w", c.URL, ErrNoAnswer, err)
	}
	return nil
}

// refused is the error that the component answered with.
func (c *Client) refused(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, largestBody))
	var r refusal
	if json.Unmarshal(text, &r) == nil && r.Message != "" {
		return fmt.Errorf("%s: %s", c.URL, r.Message)
	}
	return fmt.Errorf("%s: %w: HTTP status %s", c.URL, ErrNoAnswer, response.Status)
}
