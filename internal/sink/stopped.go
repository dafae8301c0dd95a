package sink

// Stopped is an error that no retry and no dead letter mends: the partition
// stops, is shown as FAILED with the advice, and waits for a person. Writer and
// RangeWriter return it for a target that is not theirs to write to, such as
// one that holds versions of another domain.
type Stopped struct {
	Reason error
	Advice string // what to do about it
}

// Error is the reason and the advice.
func (s *Stopped) Error() string {
	if s.Advice == "" {
		return s.Reason.Error()
	}
	return s.Reason.Error() + "; " + s.Advice
}

// Unwrap gives errors.Is and errors.As the reason.
func (s *Stopped) Unwrap() error { return s.Reason }
