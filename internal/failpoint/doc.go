// Package failpoint names the steps between which a process can die and still
// must lose and double nothing. [Pass] marks such a step in the code. In a
// binary as it is released it does nothing and costs nothing; in one that is
// built with the tag failpoint (go build -tags failpoint) the environment
// variable WEIR_FAILPOINT says where the process ends itself with SIGKILL, or
// stops itself with SIGSTOP:
//
//	WEIR_FAILPOINT=publisher.ended          killed when it comes there first
//	WEIR_FAILPOINT=publisher.ended:3        killed when it comes there the third time
//	WEIR_FAILPOINT=publisher.flushed:2:stop stopped there; SIGCONT wakes it up again
//
// Several, with commas between them, are watched for at the same time. What
// happens is said on standard error first: "failpoint: publisher.ended:3: kill".
// A name that there is not, or another form, ends the process at its start with
// exit code 2.
//
// A test builds a binary with the tag, runs it with one name of [Capture] or
// [Consumers] after the other, starts it again without, and compares.
package failpoint
