// SPDX-License-Identifier: Apache-2.0

// The round trip of query-status by go-qemu, a Go client: SOCKET COUNT -> JSON.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"syscall"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
)

func cpu() time.Duration {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func run() error {
	count, err := strconv.Atoi(os.Args[2])
	if err != nil {
		return err
	}
	monitor, err := qmp.NewSocketMonitor("unix", os.Args[1], 5*time.Second)
	if err != nil {
		return err
	}
	if err := monitor.Connect(); err != nil {
		return err
	}
	command := []byte(`{"execute":"query-status"}`)
	times := make([]float64, count)
	before := cpu()
	for i := range times {
		began := time.Now()
		if _, err := monitor.Run(command); err != nil {
			return err
		}
		times[i] = float64(time.Since(began).Nanoseconds()) / 1e3
	}
	spent := cpu() - before
	sort.Float64s(times)
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"p50_us": times[count/2],
		"p99_us": times[count*99/100],
		"cpu_us": float64(spent.Nanoseconds()) / 1e3 / float64(count),
	})
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: go_qemu SOCKET COUNT")
		os.Exit(2)
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "go_qemu:", err)
		os.Exit(1)
	}
}
