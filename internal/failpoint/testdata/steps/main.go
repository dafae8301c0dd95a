// Command steps passes two steps in turn, and says so.
package main

import (
	"fmt"

	"github.com/weir-cdc/weir/internal/failpoint"
)

func main() {
	for i := 1; i <= 3; i++ {
		fmt.Println("begin", i)
		failpoint.Pass(failpoint.PublisherBegin)
		fmt.Println("end", i)
		failpoint.Pass(failpoint.PublisherEnded)
	}
}
