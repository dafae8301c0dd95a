//go:build !race

package consumers

const (
	racing       = false
	raceSlowdown = 1
)
