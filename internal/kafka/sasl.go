package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/weir-cdc/weir/internal/config"
)

// tokenTimeout bounds one request for a token.
const tokenTimeout = 30 * time.Second

// SASL is how to log in. It is made by NewConfig.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
	Mechanism string
	user      string
	password  config.SecretText
	// Of OAUTHBEARER: a token file, read at every login, or the client
	// credentials grant at an address.
	tokenFile, tokenURL string
	client, scope       string
	clientSecret        config.SecretText
	extensions          map[string]string
}

func newSASL(v *config.Values) (*SASL, error) {
	s := &SASL{
		Mechanism: strings.ToUpper(v.String("sasl.mechanism")),
		user:      v.String("sasl.username"), password: v.Secret("sasl.password"),
		client: v.String("sasl.oauthbearer.client.credentials.client.id"), scope: v.String("sasl.oauthbearer.scope"),
		clientSecret: v.Secret("sasl.oauthbearer.client.credentials.client.secret"),
	}
	if s.Mechanism == "" {
		return nil, v.Error("sasl.mechanism", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, since security.protocol asks for a login")
	}
	if text := v.Secret("sasl.jaas.config").Reveal(); text != "" {
		j, err := parseJAAS(text)
		if err != nil {
			return nil, v.Error("sasl.jaas.config", "a JAAS entry: "+err.Error())
		}
		if err := s.take(j); err != nil {
			return nil, v.Error("sasl.jaas.config", err.Error())
		}
	}
	if s.Mechanism == "OAUTHBEARER" {
		return s, s.setEndpoint(v)
	}
	if s.user == "" || !s.password.IsSet() {
		return nil, v.Error("sasl.jaas.config", "a user name and a password, here or in sasl.username and sasl.password")
	}
	return s, nil
}

// take uses the options of a login module, which must fit the mechanism.
func (s *SASL) take(j jaas) error {
	module := j.module[strings.LastIndexByte(j.module, '.')+1:]
	want := map[string]string{"PLAIN": "PlainLoginModule", "OAUTHBEARER": "OAuthBearerLoginModule"}[s.Mechanism]
	if want == "" {
		want = "ScramLoginModule"
	}
	if module != want {
		return fmt.Errorf("the login module %s of sasl.mechanism %s, not %s", want, s.Mechanism, module)
	}
	for name, value := range j.options {
		extension, isExtension := strings.CutPrefix(name, "extension_")
		switch {
		case name == "username":
			s.user = value
		case name == "password":
			s.password = config.NewSecret(value)
		case name == "clientId":
			s.client = value
		case name == "clientSecret":
			s.clientSecret = config.NewSecret(value)
		case name == "scope":
			s.scope = value
		case name == "tokenauth" && strings.EqualFold(value, "true"):
			return errors.New("a SCRAM user, delegation tokens are not spoken")
		case isExtension:
			if s.extensions == nil {
				s.extensions = map[string]string{}
			}
			s.extensions[extension] = value
		}
	}
	return nil
}

func (s *SASL) setEndpoint(v *config.Values) error {
	const name = "sasl.oauthbearer.token.endpoint.url"
	text := v.String(name)
	u, err := url.Parse(text)
	switch {
	case err != nil || text == "":
		return v.Error(name, "an https address or file:///path")
	case u.Scheme == "file":
		s.tokenFile = u.Path
	case u.Scheme == "https" || u.Scheme == "http":
		s.tokenURL = text
	default:
		return v.Error(name, "an https address or file:///path")
	}
	if s.tokenURL != "" && (s.client == "" || !s.clientSecret.IsSet()) {
		return v.Error("sasl.oauthbearer.client.credentials.client.id",
			"a client id and secret for "+name+", here or as clientId and clientSecret in sasl.jaas.config")
	}
	return nil
}

// mechanism is the login for franz-go.
func (s *SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "PLAIN":
		return plain.Auth{User: s.user, Pass: s.password.Reveal()}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.user, Pass: s.password.Reveal()}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.user, Pass: s.password.Reveal()}.AsSha512Mechanism(), nil
	case "OAUTHBEARER":
		tokens := s.tokens()
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			text, err := tokens(ctx)
			return oauth.Auth{Token: text, Extensions: s.extensions}, err
		}), nil
	}
	return nil, config.NewError("sasl.mechanism", s.Mechanism, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
}

// tokens returns what fetches a token that is still good.
func (s *SASL) tokens() func(context.Context) (string, error) {
	if s.tokenFile != "" {
		return func(context.Context) (string, error) {
			text, err := os.ReadFile(s.tokenFile)
			if err != nil {
				return "", fmt.Errorf("reading the token file: %w", err)
			}
			return strings.TrimSpace(string(text)), nil
		}
	}
	grant := clientcredentials.Config{ClientID: s.client, ClientSecret: s.clientSecret.Reveal(), TokenURL: s.tokenURL}
	if s.scope != "" {
		grant.Scopes = strings.Fields(s.scope)
	}
	// The source outlives any one login, so it has a client and no context.
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Timeout: tokenTimeout})
	source := grant.TokenSource(ctx)
	return func(context.Context) (string, error) {
		token, err := source.Token()
		if err != nil {
			return "", fmt.Errorf("fetching a token from %s: %w", s.tokenURL, hideBody(err))
		}
		return token.AccessToken, nil
	}
}

// hideBody keeps what the token endpoint answered out of errors but for its
// status and OAuth's error code.
func hideBody(err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) && answer.Response != nil {
		return fmt.Errorf("it answered %s %s", answer.Response.Status, answer.ErrorCode)
	}
	return err
}
