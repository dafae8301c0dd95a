package main

import "testing"

func TestTransform(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"topic":"customers","value":{"id":1,"email":"ann@shop.example","spent":1200.50}}`, `{"value":{"email":"a***@shop.example","id":1,"segment":"gold","spent":1200.50}}`},
		{`{"topic":"customers","value":{"id":2,"email":"@shop.example","spent":0}}`, `{"value":{"email":"***@shop.example","id":2,"segment":"visitor","spent":0}}`},
		{`{"topic":"customers","value":{"id":3,"email":"x@test.example","spent":5}}`, `null`},
		{`{"topic":"customers","value":null}`, `{"topic":"customers","value":null}`},
		{`{"topic":"customers","value":{"email":5}}`, `{"error":"email: json: cannot unmarshal number into Go value of type string"}`},
	} {
		if got := string(transform([]byte(c.in))); got != c.want {
			t.Errorf("%s became %s, want %s", c.in, got, c.want)
		}
	}
}

// TestConfigure: the setting of the module is an amount.
func TestConfigure(t *testing.T) {
	was := gold
	defer func() { gold = was }()
	if problem := configure([]byte("250.5")); problem != nil || gold != 250.5 {
		t.Errorf("gold is %v: %s", gold, problem)
	}
	if problem := configure([]byte("much")); problem == nil {
		t.Error("much is an amount")
	}
}
