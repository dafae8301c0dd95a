package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// reference is ${provider:rest} as Kafka Connect's config providers have it.
// ${name} without a colon and $(date:…) mean something else.
var reference = regexp.MustCompile(`\$\{([A-Za-z][A-Za-z0-9_-]*):([^}]*)\}`)

// resolver replaces references in texts. What a reference gives is not looked
// at again.
type resolver struct {
	environ map[string]string
	files   map[string][]pair // properties files that were read
}

func newResolver(environ []string) *resolver {
	r := &resolver{environ: make(map[string]string, len(environ)), files: make(map[string][]pair)}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		r.environ[name] = value
	}
	return r
}

// resolve replaces every reference of text; the error says what is wrong with
// the first that cannot be replaced and never shows what one stands for.
func (r *resolver) resolve(text string) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var failed error
	out := reference.ReplaceAllStringFunc(text, func(whole string) string {
		part := reference.FindStringSubmatch(whole)
		value, err := r.look(part[1], part[2])
		if err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", whole, err)
		}
		return value
	})
	return out, failed
}

func (r *resolver) look(provider, rest string) (string, error) {
	switch provider {
	case "env":
		name := strings.TrimPrefix(rest, ":") // Connect takes ${env::NAME} too
		value, ok := r.environ[name]
		if !ok {
			return "", fmt.Errorf("the variable %s is not set", name)
		}
		return value, nil
	case "file", "dir":
		path, key, ok := strings.Cut(rest, ":")
		if !ok || path == "" || key == "" {
			return "", fmt.Errorf("want ${%s:path:key}", provider)
		}
		if provider == "dir" {
			return r.entry(path, key)
		}
		return r.key(path, key)
	}
	return "", fmt.Errorf("no provider %q; want ${env:NAME}, ${file:path:key} or ${dir:path:key}", provider)
}

// key is the text of a key in a .properties file.
func (r *resolver) key(path, key string) (string, error) {
	pairs, ok := r.files[path]
	if !ok {
		data, err := readBounded(path)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", path, plain(err))
		}
		if pairs, err = parseProperties(data); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		r.files[path] = pairs
	}
	for i := len(pairs) - 1; i >= 0; i-- {
		if pairs[i].name == key {
			return pairs[i].text, nil
		}
	}
	return "", fmt.Errorf("%s has no key %s", path, key)
}

// entry is the text of the file key in a folder, as secrets are mounted. One
// line end at its end, which an editor or echo leaves, is not part of it.
func (r *resolver) entry(folder, key string) (string, error) {
	if key != filepath.Base(key) || key == ".." || key == "." {
		return "", fmt.Errorf("want the name of a file in %s, not %q", folder, key)
	}
	data, err := readBounded(filepath.Join(folder, key))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", filepath.Join(folder, key), plain(err))
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
