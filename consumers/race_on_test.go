//go:build race

package consumers

// racing says that tests run under the race detector.
const racing = true

// raceSlowdown is about how much longer tests take there.
const raceSlowdown = 5
