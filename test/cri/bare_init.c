/* SPDX-License-Identifier: Apache-2.0 */
/* The first program of a guest that is booted to be timed: it ends the machine (QEMU has
 * -no-reboot). */
#include <linux/reboot.h>
#include <sys/syscall.h>

void _start(void) {
    long result = SYS_reboot;
    register long command __asm__("rdx") = LINUX_REBOOT_CMD_RESTART;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)(int)LINUX_REBOOT_MAGIC1), "S"((long)LINUX_REBOOT_MAGIC2),
                       "r"(command)
                     : "rcx", "r11", "memory");
    for (;;)
        ;
}
