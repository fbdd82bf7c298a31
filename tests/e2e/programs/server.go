// A server that counts its requests, with goroutines that keep the scheduler busy.
package main

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

func main() {
	var requests, ticks atomic.Int64
	for range 4 {
		go func() {
			for {
				ticks.Add(1)
				time.Sleep(time.Millisecond)
			}
		}()
	}
	http.HandleFunc("/", func(response http.ResponseWriter, _ *http.Request) {
		before := ticks.Load()
		time.Sleep(20 * time.Millisecond)
		fmt.Fprintf(response, "%d %t\n", requests.Add(1), ticks.Load() > before)
	})
	fmt.Println("listening")
	if err := http.ListenAndServe(os.Args[1], nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
