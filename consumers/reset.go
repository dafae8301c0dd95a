package consumers

import "time"

// ResetMetadata is what a reset of a Writer's group commits beside the offset:
// the topic's id, and that reading begins afresh now, which lifts the rule about
// the tombstone horizon once.
func ResetMetadata(topicID [16]byte, now time.Time) string {
	return mark{topicID: topicID, since: now}.String()
}

// CheckReset returns why offsets that were committed with this metadata must not
// be moved by a reset: they are a lake's, or of a later version.
func CheckReset(metadata string) error {
	_, _, err := parseMark(metadata)
	return err
}
