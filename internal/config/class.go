package config

import "strings"

// ClassName is the last part of a Java class name: InsertField$Value of
// org.apache.kafka.connect.transforms.InsertField$Value.
func ClassName(class string) string {
	return class[strings.LastIndexByte(class, '.')+1:]
}

// publishers are the packages whose classes are known by their full names only:
// Kafka's Filter and Debezium's are two.
var publishers = []string{"org.apache.kafka.", "io.debezium.", "io.confluent."}

// MatchClass finds class among the full names known: by its full name, or, for
// one without a package or of a package that is nobody's in particular
// (com.company.…), by its last part. Where known has several of one last part,
// the first one is meant.
func MatchClass(class string, known []string) (string, bool) {
	class = strings.TrimSpace(class)
	for _, k := range known {
		if k == class {
			return k, true
		}
	}
	for _, p := range publishers {
		if strings.HasPrefix(class, p) {
			return "", false
		}
	}
	for _, k := range known {
		if ClassName(k) == ClassName(class) {
			return k, true
		}
	}
	return "", false
}
