# The header (ids::core_header) and the sections: one for each call that takes an id.
#
# A section is entered with the virtual id in r9 and the other arguments where the kernel wants them. It looks the row up,
# reads the system id and only then compares the virtual one (see ids/src/row.rs), and makes the call. It writes no
# memory and keeps nothing but r9: a thread within can be put back to its start, where it looks the row up anew.

.macro section name, nr, rows
  .balign 16
  \name:
    mov eax, r9d
    and eax, 0xfffff
    shl rax, 5
    movabs rcx, \rows
    mov edi, [rcx + rax + 4]
    cmp [rcx + rax], r9d
    jne core_miss
    test r9d, r9d
    jz core_miss
    mov eax, \nr
    syscall
  \name\()_end:
    ret
.endm

.macro described name, nr
  .quad \name, \name\()_end, \nr
.endm

.section .core.header, "a"
  .ascii "STIDCORE"
  .long 1, 8
  .quad core_length, core_call, core_enter, core_note
  described core_semop, 65
  described core_semtimedop, 220
  described core_semctl, 66
  described core_shmat, 30
  described core_shmctl, 31
  described core_msgsnd, 69
  described core_msgrcv, 70
  described core_msgctl, 71

.section .core.sections, "ax"
  section core_semop, 65, {semaphores}
  section core_semtimedop, 220, {semaphores}
  section core_semctl, 66, {semaphores}
  section core_shmat, 30, {memory}
  section core_shmctl, 31, {memory}
  section core_msgsnd, 69, {messages}
  section core_msgrcv, 70, {messages}
  section core_msgctl, 71, {messages}

  .balign 16
core_miss:
    mov rax, -22
    ret

# Where the helper sends a thread: rsp is at a signal frame's first word. The call is made with the frame's registers, and
# rt_sigreturn goes back through it. A handler may run at any instruction: it finds its place below rsp.
  .balign 16
  .globl core_enter
core_enter:
    cld
    mov rbx, rsp
    mov rdi, rsp
    and rsp, -16
    call core_answer
    lea rsp, [rbx + 8]
    mov eax, 15
    syscall
    ud2
.text
