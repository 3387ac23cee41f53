// Drives `fmesh serve` with Pulsar's Go client, which nobody here wrote: tests/e2e/serve_go_test.py starts both.
//
//	go_client SERVICE_URL ADMIN_URL [CASE...]
//
// Every case has its own client and topics; all run at the same time. One line per case, "ok NAME" or
// "FAIL NAME: why"; exit code 1 if one failed.
package main

import (
	"fmt"
	"os"
	"slices"
	"sync"
)

type testCase struct {
	name string
	run  func(*fixture)
}

func cases() []testCase {
	return []testCase{
		{"produces_and_consumes", producesAndConsumes},
		{"payloads_come_as_they_went", payloadsComeAsTheyWent},
		{"shared_consumers_share", sharedConsumersShare},
		{"failover_goes_to_one_at_a_time", failoverGoesToOneAtATime},
		{"key_shared_keeps_order", keySharedKeepsOrder},
		{"key_shared_ranges", keySharedRanges},
		{"acknowledges", acknowledges},
		{"seeks", seeks},
		{"readers", readers},
		{"table_view", tableView},
		{"partitions", partitions},
		{"patterns", patterns},
		{"schemas", schemas},
		{"delayed_delivery", delayedDelivery},
		{"dead_letters", deadLetters},
		{"retry_letters", retryLetters},
		{"exclusive_producers", exclusiveProducers},
		{"zero_queue", zeroQueue},
		{"unload", unload},
		{"transactions_are_refused", transactionsAreRefused},
	}
}

func runCase(c testCase, f *fixture) (failed error) {
	defer f.close()
	defer func() {
		if what := recover(); what != nil {
			failure, isFailure := what.(failure)
			if !isFailure {
				panic(what)
			}
			failed = failure
		}
	}()
	c.run(f)
	return nil
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: go_client SERVICE_URL ADMIN_URL [CASE...]")
		os.Exit(2)
	}
	wanted := os.Args[3:]
	var running sync.WaitGroup
	var output sync.Mutex
	failures := 0
	for _, c := range cases() {
		if len(wanted) > 0 && !slices.Contains(wanted, c.name) {
			continue
		}
		running.Add(1)
		go func() {
			defer running.Done()
			err := runCase(c, newFixture(os.Args[1], os.Args[2]))
			output.Lock()
			defer output.Unlock()
			if err != nil {
				failures++
				fmt.Printf("FAIL %s: %v\n", c.name, err)
				return
			}
			fmt.Println("ok", c.name)
		}()
	}
	running.Wait()
	if failures > 0 {
		os.Exit(1)
	}
}
