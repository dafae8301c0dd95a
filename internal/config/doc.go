package config

import "strings"

// firstSentence is a text up to its first full stop that ends a sentence.
func firstSentence(text string) string {
	if end := strings.Index(text, ". "); end >= 0 {
		return text[:end+1]
	}
	return text
}
