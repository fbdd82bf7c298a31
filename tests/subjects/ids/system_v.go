// System V objects by raw system calls: what IPC_STAT tells, and the lists of indexes and files.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

type object struct {
	kind string
	id   int
}

func call(number uintptr, words ...uintptr) (int, syscall.Errno) {
	var all [6]uintptr
	copy(all[:], words)
	result, _, errno := syscall.Syscall6(number, all[0], all[1], all[2], all[3], all[4], all[5])
	return int(result), errno
}

func must(what string) func(int, syscall.Errno) int {
	return func(result int, errno syscall.Errno) int {
		if errno != 0 {
			fail("%s: %v", what, errno)
		}
		return result
	}
}

func control(one object, command int, room []byte) (int, syscall.Errno) {
	address := uintptr(unsafe.Pointer(unsafe.SliceData(room)))
	defer runtime.KeepAlive(room)
	switch one.kind {
	case "sem":
		return call(syscall.SYS_SEMCTL, uintptr(one.id), 0, uintptr(command), address)
	case "shm":
		return call(syscall.SYS_SHMCTL, uintptr(one.id), uintptr(command), address)
	}
	return call(syscall.SYS_MSGCTL, uintptr(one.id), uintptr(command), address)
}

func get(kind string, key, extent, flags int) (int, syscall.Errno) {
	if kind == "msg" {
		return call(gets[kind], uintptr(key), uintptr(flags))
	}
	return call(gets[kind], uintptr(key), uintptr(extent), uintptr(flags))
}

func semaphore(set object, index, command int) int {
	return must("semctl")(call(syscall.SYS_SEMCTL, uintptr(set.id), uintptr(index), uintptr(command), 0))
}

func operate(set object, index, change, flags int) syscall.Errno {
	operation := [3]int16{int16(index), int16(change), int16(flags)}
	_, errno := call(syscall.SYS_SEMOP, uintptr(set.id), uintptr(unsafe.Pointer(&operation)), 1)
	return errno
}

func send(queue object, kind int, text string) {
	message := binary.LittleEndian.AppendUint64(nil, uint64(kind))
	message = append(message, text...)
	must("msgsnd")(call(syscall.SYS_MSGSND, uintptr(queue.id), uintptr(unsafe.Pointer(&message[0])), uintptr(len(text)), 0))
}

func receive(queue object, wanted, flags int) string {
	var room [72]byte
	got, errno := call(syscall.SYS_MSGRCV, uintptr(queue.id), uintptr(unsafe.Pointer(&room[0])), 64, uintptr(wanted), uintptr(flags))
	if errno != 0 {
		return errno.Error()
	}
	return fmt.Sprintf("%d %s", binary.LittleEndian.Uint64(room[:]), room[8:8+got])
}

func word(room []byte, offset int) int { return int(int32(binary.LittleEndian.Uint32(room[offset:]))) }

func byIndex(kind string, command int) map[object]int {
	room, found := make([]byte, 256), map[object]int{}
	highest := must("IPC_INFO")(control(object{kind, 0}, info, room))
	for index := 0; index <= highest; index++ {
		if id, errno := control(object{kind, index}, command, room); errno == 0 {
			found[object{kind, id}] = word(room, 0)
		}
	}
	return found
}

func byFile(kind string) map[object]int {
	text, err := os.ReadFile("/proc/sysvipc/" + kind)
	if err != nil {
		fail("%v", err)
	}
	found := map[object]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		words := strings.Fields(line)
		itsKey, _ := strconv.Atoi(words[0])
		id, _ := strconv.Atoi(words[1])
		found[object{kind, id}] = itsKey
	}
	return found
}

// describe tells what stays the same over a restore.
func describe(one object) string {
	room := make([]byte, 256)
	must("IPC_STAT")(control(one, stat, room))
	text := fmt.Sprint(room[:24])
	switch one.kind {
	case "sem":
		values := make([]byte, 2*word(room, 80))
		must("GETALL")(control(one, getAll, values))
		return text + fmt.Sprint(values)
	case "shm":
		return text + fmt.Sprint(room[48:56], word(room, 80), word(room, 88))
	}
	return text + fmt.Sprint(room[72:104])
}
