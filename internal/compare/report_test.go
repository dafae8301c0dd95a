package compare

import (
	"strings"
	"testing"
)

func TestReportIsAnAlignedTable(t *testing.T) {
	report := Report{
		Results: []*Result{
			{Table: "shop.orders", Target: "elasticsearch", Source: 12345, Copies: 12345, Incomplete: 3},
			{Table: "shop.orders", Target: "redis", Source: 12346, Copies: 12344, Missing: 2, Examples: []string{"7 is missing in redis", "8 is missing in redis"}},
			{Table: "shop.b", Target: "redis", Source: 7, Copies: 7, Unsettled: 1},
		},
		Events: []*EventsResult{{Table: "shop.orders", Kafka: 20000, Rows: 20001, Twice: 1, Compacted: 4, Examples: []string{"offset 5 of t-0 is in the lake more than once"}}},
	}
	var out strings.Builder
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	const want = `
                        elasticsearch             redis             change events
table          rows      rows  differ      rows  differ     kafka    lake  differ
shop.orders  12,346    12,345       0    12,344       2    20,000  20,001       1
shop.b            7         -       -         7       0         -       -       -
all          12,353    12,345       0    12,351       2    20,000  20,001       1
shop.orders in elasticsearch: 3 lack a column added later, at its default
shop.orders in redis: 2 different
  7 is missing in redis
  8 is missing in redis
shop.b in redis: 1 changed while being compared
events of shop.orders: 4 no longer in Kafka
events of shop.orders: 1 different
  offset 5 of t-0 is in the lake more than once
`
	if out.String() != want[1:] {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want[1:])
	}
	if report.Differences() != 3 {
		t.Errorf("%d differences", report.Differences())
	}
}
