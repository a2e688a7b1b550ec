/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest of one duty: it lets go of every device it is asked for, at once. In place of a firmware
 * (sandbox start --ejector), so that attaching and detaching a thousand times takes no thousand times
 * half a second of a Linux guest's ACPI. It does what the machine's own ACPI tables do for an
 * operating system, when QEMU raises the interrupt for it; else it is halted.
 *
 * I/O ports of the pc machine: QEMU's docs/specs/acpi_pci_hotplug.txt (0xae00) and hw/acpi/piix4.c
 * (GPE block at 0xafe0, event 1 is PCI hot-plug; its interrupt is number 9).
 */
        .code16
        .text
        .equ GPE_STATUS, 0xafe0
        .equ GPE_ENABLE, 0xafe2
        .equ GPE_PCI_HOTPLUG, 2
        .equ PCI_DOWN, 0xae04
        .equ PCI_EJECT, 0xae08
        .equ PCI_BUS, 0xae10
        .equ LOCAL_APIC, 0xfee00000
        .equ VECTOR, 0x71               /* interrupt 9 of the slave at 0x70 */

begin:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %ss
        movw $0x7000, %sp
        movw $eject, VECTOR * 4
        movw %cs, VECTOR * 4 + 2

        /* The local APIC has to let the controllers' interrupts through, as a firmware sets it up. It is
         * beyond the reach of real mode, but for a segment whose limit was loaded in protected mode. */
        lgdtl %cs:table
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        movw $8, %bx
        movw %bx, %es
        andb $0xfe, %al
        movl %eax, %cr0
        movl $LOCAL_APIC, %ebx
        movl $0x1ff, %es:0xf0(%ebx)     /* on */
        movl $0x700, %es:0x350(%ebx)    /* LINT0: external interrupts */

        movb $0x11, %al                 /* both interrupt controllers: edges, cascaded, four words */
        outb %al, $0x20
        outb %al, $0xa0
        movb $0x08, %al
        outb %al, $0x21
        movb $0x70, %al
        outb %al, $0xa1
        movb $0x04, %al
        outb %al, $0x21
        movb $0x02, %al
        outb %al, $0xa1
        movb $0x01, %al
        outb %al, $0x21
        outb %al, $0xa1
        movb $0xfb, %al                 /* the cascade and number 9 alone */
        outb %al, $0x21
        movb $0xfd, %al
        outb %al, $0xa1

        movw $GPE_ENABLE, %dx           /* a request that came before raises it now */
        movb $GPE_PCI_HOTPLUG, %al
        outb %al, %dx
        sti
idle:
        hlt
        jmp idle

eject:
        /* Cleared first: a request that comes from here on raises the interrupt again. */
        movw $GPE_STATUS, %dx
        movb $GPE_PCI_HOTPLUG, %al
        outb %al, %dx
        movw $PCI_BUS, %dx              /* pci.0 */
        xorl %eax, %eax
        outl %eax, %dx
next:
        movw $PCI_DOWN, %dx
        inl %dx, %eax
        testl %eax, %eax
        jz done
        movw $PCI_EJECT, %dx            /* QEMU takes the lowest slot of the mask */
        outl %eax, %dx
        jmp next
done:
        movb $0x20, %al
        outb %al, $0xa0
        outb %al, $0x20
        iret

        .align 8
segments:
        .quad 0
        .quad 0x008f93000000ffff        /* data, all 4 GiB, at 0; marked as accessed, as ROM takes no mark */
table:
        .word table - segments - 1
        .long 0xf0000 + segments

        .org 0xfff0                     /* where the processor starts */
        ljmp $0xf000, $begin
        .org 0x10000
