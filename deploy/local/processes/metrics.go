package processes

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Metrics are the component's, by name, each the sum over all its labels.
func (c *Component) Metrics(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its metrics: %w", c.Name, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its metrics: %w", c.Name, err)
	}
	defer func() { _ = response.Body.Close() }() // its error is the scanner's
	sums := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line := lines.Text()
		end, value := strings.IndexAny(line, "{ "), strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || end < 0 {
			continue
		}
		n, err := strconv.ParseFloat(line[value+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the metric %s of %s: %w", line[:end], c.Name, err)
		}
		sums[line[:end]] += n
	}
	return sums, lines.Err()
}
