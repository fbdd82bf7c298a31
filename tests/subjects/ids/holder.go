// Holds System V objects of all kinds by raw system calls, with threads blocked in them, and finds every id, key and
// value as it was.
//
//	holder undo|no-undo SEM SHM MSG KEY     ids and a key that belong to somebody else
package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

const (
	key                             = 0x61060a17
	size                            = 3*4096 + 50
	create, exclusive, noWait       = 0o1000, 0o2000, 0o4000
	undo                            = 0x1000
	rmid, stat, info                = 0, 2, 3
	getVal, getAll, getNcnt, setAll = 12, 13, 14, 17
	at, secondAt                    = 0x650000000000, 0x660000000000
)

var (
	kinds   = []string{"sem", "shm", "msg"}
	stats   = map[string][]int{"sem": {18, 20}, "shm": {13, 15}, "msg": {11, 13}}
	use     = map[string][2]int{"sem": {19, 28}, "shm": {14, 0}, "msg": {12, 0}}
	gets    = map[string]uintptr{"sem": syscall.SYS_SEMGET, "shm": syscall.SYS_SHMGET, "msg": syscall.SYS_MSGGET}
	owned   = map[object]int{}
	started []*exec.Cmd
)

func fail(format string, words ...any) {
	fmt.Printf("fail: "+format+"\n", words...)
	for _, command := range started {
		command.Process.Kill()
	}
	for one := range owned {
		control(one, rmid, nil)
	}
	os.Exit(1)
}

func own(kind string, key, extent, flags int) object {
	id := must("creating " + kind)(get(kind, key, extent, create|flags))
	one := object{kind, id}
	if _, twice := owned[one]; twice {
		fail("%s %d was given twice", kind, id)
	}
	owned[one] = key
	return one
}

func signalled(set object, index, change, flags int) {
	if errno := operate(set, index, change, flags); errno != 0 {
		fail("semop: %v", errno)
	}
}

func expect(queue object, wanted int, text string) {
	if got := receive(queue, wanted, noWait); got != text {
		fail("a message of type %d is %q instead of %q", wanted, got, text)
	}
}

func until(what string, seen func() bool) {
	for round := 0; !seen(); round++ {
		if round == 10000 {
			fail("never seen: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func checkViews(when string) {
	room := make([]byte, 256)
	for _, kind := range kinds {
		mine := map[object]int{}
		for one, itsKey := range owned {
			if one.kind == kind {
				mine[one] = itsKey
			}
		}
		for _, command := range stats[kind] {
			if found := byIndex(kind, command); !maps.Equal(found, mine) {
				fail("indexes are %v instead of %v %s", found, mine, when)
			}
		}
		if found := byFile(kind); !maps.Equal(found, mine) {
			fail("/proc/sysvipc is %v instead of %v %s", found, mine, when)
		}
		must("its use")(control(object{kind, 0}, use[kind][0], room))
		if count := word(room, use[kind][1]); count != len(mine) {
			fail("%d of %s are counted %s", count, kind, when)
		}
	}
}

func checkStrangers(words []string) {
	itsKey, _ := strconv.Atoi(words[3])
	for index, kind := range kinds {
		id, _ := strconv.Atoi(words[index])
		if _, errno := control(object{kind, id}, stat, make([]byte, 256)); errno != syscall.EINVAL {
			fail("%s %d of somebody else: %v", kind, id, errno)
		}
		if _, errno := get(kind, itsKey, 0, 0); errno != syscall.ENOENT {
			fail("the key of somebody else's %s: %v", kind, errno)
		}
	}
}

// blocked runs a call that waits on a thread that no signal reaches: semop(2) is never restarted.
func blocked(wait func() string) chan string {
	result := make(chan string, 1)
	go func() {
		runtime.LockOSThread()
		all := ^uint64(0)
		call(syscall.SYS_RT_SIGPROCMASK, 0, uintptr(unsafe.Pointer(&all)), 0, 8)
		result <- wait()
	}()
	return result
}

func came(result chan string, wanted string) {
	select {
	case got := <-result:
		if got != wanted {
			fail("a blocked call gave %q instead of %q", got, wanted)
		}
	case <-time.After(20 * time.Second):
		fail("a blocked call was not woken")
	}
}

func start(role string) *exec.Cmd {
	command := exec.Command("/proc/self/exe", role)
	command.Stdout = os.Stdout
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		fail("%v", err)
	}
	started = append(started, command)
	return command
}

func memory(address uintptr) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&address))), size)
}

func attach(segment object, address uintptr) {
	got := must("shmat")(call(syscall.SYS_SHMAT, uintptr(segment.id), address, 0))
	if uintptr(got) != address {
		fail("shmat gave %#x", got)
	}
}

// found looks an object up by the key, as a program does that was executed anew.
func found(kind string) object { return object{kind, must("its key")(get(kind, key, 0, 0))} }

func debtor() {
	signalled(found("sem"), 3, 3, undo)
	time.Sleep(time.Hour)
}

func partner() {
	set, segment := found("sem"), found("shm")
	attach(segment, secondAt)
	signalled(set, 4, 1, 0)
	came(blocked(func() string { return fmt.Sprint(int(operate(set, 2, -1, 0))) }), "0")
	if string(memory(secondAt)[8192:8196]) != "told" {
		fail("the partner sees other memory")
	}
	copy(memory(secondAt), "answered")
}

func makeMore() {
	kept := maps.Clone(owned)
	own("sem", 0, 3, 0o600)
	own("shm", key+10, 4096, exclusive|0o600)
	own("msg", key+10, 0, exclusive|0o600)
	checkViews("with new objects")
	for one := range maps.Clone(owned) {
		if _, old := kept[one]; !old {
			must("IPC_RMID")(control(one, rmid, nil))
			delete(owned, one)
			if _, errno := control(one, stat, make([]byte, 256)); errno != syscall.EINVAL {
				fail("a removed id is there: %v", errno)
			}
		}
	}
	checkViews("without new objects")
}

func holder(words []string) {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	checkViews("at the start")
	checkStrangers(words[1:])
	set := own("sem", key, 5, exclusive|0o640)
	segment := own("shm", key, size, exclusive|0o606)
	queue := own("msg", key, 0, exclusive|0o622)
	closed := own("msg", 0, 0, 0o600)
	values := [5]uint16{4, 0, 0, 10, 0}
	must("SETALL")(call(syscall.SYS_SEMCTL, uintptr(set.id), 0, setAll, uintptr(unsafe.Pointer(&values))))
	attach(segment, at)
	copy(memory(at)[8192:], "held")
	send(queue, 5, "five")
	send(queue, 3, "three")
	send(queue, 5, "")
	send(queue, 7, "seven")
	taker := blocked(func() string { return fmt.Sprint(int(operate(set, 1, -1, 0))) })
	receiver := blocked(func() string { return receive(closed, 42, 0) })
	owing, sharing := start("debtor"), start("partner")
	until("the debt", func() bool { return semaphore(set, 3, getVal) == 13 })
	until("the partner", func() bool { return semaphore(set, 4, getVal) == 1 })
	seeBlocked := func() {
		for index := 1; index <= 2; index++ {
			until("blocked callers of semop", func() bool { return semaphore(set, index, getNcnt) == 1 })
		}
	}
	seeBlocked()
	checkViews("before")
	before := map[object]string{}
	for one, itsKey := range owned {
		before[one] = describe(one)
		fmt.Println("own", one.kind, one.id, itsKey)
	}
	fmt.Println("ready")
	<-told

	seeBlocked()
	for one, was := range before {
		if is := describe(one); is != was {
			fail("%v was %s, is %s", one, was, is)
		}
	}
	checkViews("after")
	checkStrangers(words[1:])
	for _, one := range []object{set, segment, queue} {
		if id := must("its key")(get(one.kind, key, 0, 0)); id != one.id {
			fail("the key finds %s %d instead of %d", one.kind, id, one.id)
		}
	}
	makeMore()
	signalled(set, 1, 1, 0)
	came(taker, "0")
	send(closed, 41, "not this")
	send(closed, 42, "late")
	came(receiver, "42 late")
	expect(closed, 0, "41 not this")
	expect(queue, 3, "3 three")
	expect(queue, -6, "5 five")
	expect(queue, 0, "5 ")
	expect(queue, 0, "7 seven")
	if string(memory(at)[8192:8196]) != "held" {
		fail("contents of the segment differ")
	}
	copy(memory(at)[8192:], "told")
	signalled(set, 2, 1, 0)
	if err := sharing.Wait(); err != nil || !bytes.HasPrefix(memory(at), []byte("answered")) {
		fail("the partner: %v", err)
	}
	owing.Process.Kill()
	owing.Wait()
	if value := semaphore(set, 3, getVal); words[0] == "undo" && value != 10 {
		fail("SEM_UNDO left %d instead of 10", value)
	}
	must("shmdt")(call(syscall.SYS_SHMDT, at))
	for one := range maps.Clone(owned) {
		must("IPC_RMID")(control(one, rmid, nil))
		delete(owned, one)
	}
	checkViews("at the end")
	fmt.Println("pass")
}

func main() {
	switch {
	case len(os.Args) == 6:
		holder(os.Args[1:])
	case os.Args[1] == "debtor":
		debtor()
	case os.Args[1] == "partner":
		partner()
	}
}
