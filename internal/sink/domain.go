package sink

import "strings"

// DomainOffset begins the version domain of records whose versions are their Kafka
// offsets. What follows are the topic's id and its number of partitions: those of
// a topic that was created again, or whose keys went to other partitions, do not
// go on from those before. Alone it is of brokers without topic ids, and what
// earlier versions of this program wrote.
const DomainOffset = "offset"

// Continues reports whether a target that holds versions of has may take those of
// domain, and then holds those: has says less of the same offsets.
func Continues(has, domain string) bool {
	return has == DomainOffset && strings.HasPrefix(domain, DomainOffset+":")
}

// Repartitioned reports whether the two are offsets of one topic before and after
// it got partitions. Then they order the changes of a key in no target.
func Repartitioned(has, domain string) bool {
	topic := domain[:strings.LastIndexByte(domain, ':')+1]
	return has != domain && strings.HasPrefix(domain, DomainOffset+":") && strings.HasPrefix(has, topic)
}
