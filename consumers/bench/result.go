package main

import (
	"fmt"
	"time"
)

// cost is what a run took.
type cost struct {
	records   int
	cpu, wall time.Duration // cpu of the whole process
	rss       int64         // peak, bytes; 0 is not known
}

// rate is records per second.
func (c cost) rate() float64 { return float64(c.records) / c.wall.Seconds() }

// micros are the microseconds of CPU of a record.
func (c cost) micros() float64 { return float64(c.cpu.Nanoseconds()) / 1000 / float64(c.records) }

// result is a sink's run, and that of the bare loader.
type result struct {
	name, bareName string
	sink, bare     cost
}

// print prints a table for people, then lines in the form of Go's benchmarks.
func (b *bench) print() {
	if len(b.results) == 0 {
		return
	}
	fmt.Printf("\n%-14s %10s %10s %14s %9s   %-32s %10s %6s\n", "Kafka →", "records", "records/s", "CPU-µs/record", "peak RSS", "bare loader", "records/s", "ratio")
	for _, r := range b.results {
		fmt.Printf("%-14s %10d %10.0f %14.2f %6d MB   %-32s %10.0f %6.2f\n", r.name, r.sink.records, r.sink.rate(), r.sink.micros(), r.sink.rss>>20,
			r.bareName, r.bare.rate(), r.sink.rate()/r.bare.rate())
	}
	fmt.Println()
	for _, r := range b.results {
		fmt.Printf("BenchmarkSink/%s 1 %.0f ns/op %.0f cpu-ns/record %.0f records/s %d peak-MB %.3f ratio-to-bare\n", r.name,
			float64(r.sink.wall.Nanoseconds())/float64(r.sink.records), 1000*r.sink.micros(), r.sink.rate(), r.sink.rss>>20, r.sink.rate()/r.bare.rate())
		fmt.Printf("BenchmarkBare/%s 1 %.0f ns/op %.0f records/s\n", r.name, float64(r.bare.wall.Nanoseconds())/float64(r.bare.records), r.bare.rate())
	}
}
