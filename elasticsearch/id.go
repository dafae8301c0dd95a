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

// appendID appends the id of a document with this key, which is the key's text.
// Where that is no id that Elasticsearch takes, the id is a hash of it, and full
// is what was hashed.
func appendID(dst []byte, key *cdc.Row) (id, full []byte, err error) {
	if key == nil || len(key.Values) == 0 {
		return dst, nil, errNoKey
	}
	at := len(dst)
	dst = json.AppendKeyText(dst, key)
	id, full = shortID(dst, at)
	return id, full, nil
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
