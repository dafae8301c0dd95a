package json

// EachElement calls f for the elements of a JSON array, in order, with their
// text, up to the first error. The text has to be valid JSON.
func EachElement(array []byte, f func(value []byte) error) error { return eachElement(array, f) }
