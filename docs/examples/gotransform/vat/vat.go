// Package vat adds the value added tax of a country to rows that have a net
// price. To import it is to register its class.
package vat

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/weir-cdc/weir/enrich/plugin"
)

// Class is the name of the transform in a configuration.
const Class = "com.example.shop.VatTransform"

func init() { plugin.Register(Class, newVat) }

// vat adds fields tax and gross to rows with a field price.
type vat struct {
	rates   map[string]*big.Rat // by country, in per cent
	country string              // the field with the country
}

// newVat reads the properties rates, such as DE:19,FR:20, and country.field.
func newVat(o *plugin.Options) plugin.Transform {
	t := &vat{rates: map[string]*big.Rat{}, country: o.Text("country.field", "country")}
	if o.Need("rates", "countries and their rates in per cent, such as DE:19,FR:5.5") == "" {
		return t
	}
	for _, item := range o.List("rates") {
		country, text, _ := strings.Cut(item, ":")
		rate, ok := new(big.Rat).SetString(text)
		if !ok || rate.Sign() < 0 {
			o.Fail("rates", "countries and their rates in per cent, such as DE:19,FR:5.5; "+item+" is none")
			continue
		}
		t.rates[country] = rate
	}
	return t
}

// Moves says that no record goes elsewhere because of its content.
func (t *vat) Moves() bool { return false }

// Apply adds the tax to the row after the change, and to the one before it, so
// that both have the same fields.
func (t *vat) Apply(r *plugin.Record) error {
	for _, row := range []*plugin.Row{r.Value(), r.Before()} {
		if row == nil || !row.Has("price") {
			continue // a tombstone, or another table
		}
		if err := t.add(row); err != nil {
			return err
		}
	}
	return nil
}

func (t *vat) add(row *plugin.Row) error {
	text, ok := row.Text("price")
	if !ok {
		row.SetNull("tax", plugin.Decimal(2))
		row.SetNull("gross", plugin.Decimal(2))
		return nil
	}
	price, ok := new(big.Rat).SetString(text)
	if !ok {
		return fmt.Errorf("price %q is no number", text)
	}
	country, _ := row.Text(t.country)
	rate, ok := t.rates[country]
	if !ok {
		return fmt.Errorf("no rate is known for country %q", country)
	}
	tax := new(big.Rat).Mul(price, rate)
	tax.Quo(tax, big.NewRat(100, 1))
	if err := row.SetDecimal("tax", tax.FloatString(2), 2); err != nil {
		return err
	}
	return row.SetDecimal("gross", price.Add(price, tax).FloatString(2), 2)
}
