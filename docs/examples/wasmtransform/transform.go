package main

import (
	"encoding/json"
	"fmt"
	"strings"
)

// record is what of a record the transform looks at and changes.
type record struct {
	Value map[string]json.RawMessage `json:"value"`
}

// refusal is the answer that rejects a record.
type refusal struct {
	Error string `json:"error"`
}

// transform returns the record as it is to be, null to drop it, or why it is
// rejected. Fields that it does not touch keep their text, and so their type.
func transform(document []byte) []byte {
	var r record
	if err := json.Unmarshal(document, &r); err != nil {
		return answer(refusal{err.Error()})
	}
	if r.Value == nil {
		return document // a tombstone
	}
	var email string
	if err := json.Unmarshal(r.Value["email"], &email); err != nil {
		return answer(refusal{fmt.Sprintf("email: %v", err)})
	}
	name, host, _ := strings.Cut(email, "@")
	if host == "test.example" {
		return []byte("null")
	}
	r.Value["email"] = answer(name[:min(1, len(name))] + "***@" + host)
	var spent float64
	if err := json.Unmarshal(r.Value["spent"], &spent); err != nil {
		return answer(refusal{fmt.Sprintf("spent: %v", err)})
	}
	r.Value["segment"] = answer(segment(spent))
	return answer(r)
}

func segment(spent float64) string {
	switch {
	case spent >= gold:
		return "gold"
	case spent > 0:
		return "customer"
	}
	return "visitor"
}

// gold is how much makes a customer a golden one: the setting of the module.
var gold = 1000.0

// configure takes the text of wasm.config and returns what is wrong with it.
func configure(settings []byte) []byte {
	if len(settings) == 0 {
		return nil
	}
	if err := json.Unmarshal(settings, &gold); err != nil {
		return fmt.Appendf(nil, "%q is no amount", settings)
	}
	return nil
}

func answer(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // rejects the record
	}
	return b
}
