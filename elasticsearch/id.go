package elasticsearch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/weir-cdc/weir/internal/cdc"
	"github.com/weir-cdc/weir/internal/cdc/json"
)

// maxID is the longest id that Elasticsearch takes, in bytes; a single longer
// one fails a whole bulk request.
const maxID = 512

// hashed begins the id of a key that cannot be one: empty, longer than maxID,
// or itself beginning so.
const hashed = "sha256:"

// keyField keeps the key, as the id would have been, where the id is a hash.
const keyField = "__key"

var errNoKey = errors.New("the record has no key to make an id of: key.ignore=true makes ids of topic, partition and offset")

// appendID appends the id of a document with this key: the text of the only
// field, or the texts of all of them joined by |. In a key of several fields a
// \ or | inside a text is written behind a \, and NULL is \N, so that no two
// keys have one id. Where that is no id that Elasticsearch takes, the id is a
// hash of it, and full is what was hashed.
func appendID(dst []byte, key *cdc.Row) (id, full []byte, err error) {
	if key == nil || len(key.Values) == 0 {
		return dst, nil, errNoKey
	}
	at := len(dst)
	for i := range key.Values {
		if i > 0 {
			dst = append(dst, '|')
		}
		if key.Values[i].IsNull() {
			dst = append(dst, `\N`...)
			continue
		}
		from := len(dst)
		dst = json.AppendText(dst, &key.Schema.Fields[i], &key.Values[i])
		if len(key.Values) > 1 {
			dst = escapeFrom(dst, from)
		}
	}
	id, full = shortID(dst, at)
	return id, full, nil
}

// escapeFrom writes a \ before each \ and | of dst from the index on.
func escapeFrom(dst []byte, from int) []byte {
	if !bytes.ContainsAny(dst[from:], `\|`) {
		return dst
	}
	text := bytes.Clone(dst[from:])
	dst = dst[:from]
	for _, c := range text {
		if c == '\\' || c == '|' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// shortID replaces an id that Elasticsearch would refuse by a hash of it, and
// returns what it hashed.
func shortID(dst []byte, at int) (id, full []byte) {
	full = dst[at:]
	if len(full) > 0 && len(full) <= maxID && !bytes.HasPrefix(full, []byte(hashed)) {
		return dst, nil
	}
	full = append([]byte{}, full...) // not nil, even if empty
	sum := sha256.Sum256(full)
	return hex.AppendEncode(append(dst[:at], hashed...), sum[:]), full
}

// appendOffsetID appends topic+partition+offset, the id where key.ignore is
// true.
func appendOffsetID(dst []byte, o *cdc.Origin) []byte {
	at := len(dst)
	dst = append(append(dst, o.Topic...), '+')
	dst = strconv.AppendInt(dst, int64(o.Partition), 10)
	dst = strconv.AppendInt(append(dst, '+'), o.Offset, 10)
	dst, _ = shortID(dst, at)
	return dst
}
