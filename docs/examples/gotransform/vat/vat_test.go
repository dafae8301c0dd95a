package vat

import (
	"strings"
	"testing"

	"github.com/weir-cdc/weir/enrich/plugin/plugintest"
)

var properties = map[string]string{
	"transforms":           "vat",
	"transforms.vat.type":  Class,
	"transforms.vat.rates": "DE:19,FR:5.5",
}

func TestVat(t *testing.T) {
	chain := plugintest.New(t, properties)
	for _, c := range []struct{ in, want string }{
		{`{"topic":"orders","value":{"id":1,"price":10.01,"country":"DE"}}`, `{"id":1,"price":10.01,"country":"DE","tax":1.90,"gross":11.91}`},
		{`{"topic":"orders","value":{"id":1,"price":"100","country":"FR"}}`, `{"id":1,"price":"100","country":"FR","tax":5.50,"gross":105.50}`},
		{`{"topic":"orders","value":{"id":1,"price":null,"country":"DE"}}`, `{"id":1,"price":null,"country":"DE","tax":null,"gross":null}`},
		{`{"topic":"orders","value":{"before":{"id":1,"price":1,"country":"DE"},"after":{"id":1,"price":2,"country":"DE"},"source":{},"op":"u","ts_ms":1}}`,
			`{"id":1,"price":2,"country":"DE","tax":0.38,"gross":2.38}`},
		{`{"topic":"customers","value":{"id":1}}`, `{"id":1}`},
		{`{"topic":"orders","value":null}`, `null`},
	} {
		if got := chain.Value(c.in); got != c.want {
			t.Errorf("%s became %s, want %s", c.in, got, c.want)
		}
	}
	if err := chain.Reject(`{"topic":"orders","value":{"price":1,"country":"XX"}}`); !strings.Contains(err.Error(), `no rate is known for country "XX"`) {
		t.Error(err)
	}
}
