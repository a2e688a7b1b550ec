// SPDX-License-Identifier: GPL-2.0-only
/*
 * Configuration space of the stand-in's vGPUs: the identity and the BARs of a Broadwell GPU (8086:1616,
 * class VGA, revision 09), and one MSI vector. No expansion ROM, no interrupt pin, no OpRegion.
 */
#include <linux/pci_regs.h>
#include <linux/sizes.h>
#include <linux/string.h>
#include <asm/unaligned.h>

#include "lab_gvtg.h"

#define MSI_AT 0x90
#define MSI_BYTES 14 /* with a 64-bit address, without a mask */

/* As the GPU has them: registers and page table; the aperture; 64 I/O ports. */
#define REGISTERS_BYTES SZ_16M
#define APERTURE_BYTES SZ_256M
#define PORTS_BYTES SZ_64

u64 lab_gvtg_region_bytes(u32 index)
{
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return REGISTERS_BYTES;
	case VFIO_PCI_BAR2_REGION_INDEX:
		return APERTURE_BYTES;
	case VFIO_PCI_BAR4_REGION_INDEX:
		return PORTS_BYTES;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return LAB_GVTG_CONFIG_BYTES;
	default: /* BAR 1 and 3 are the upper halves of 0 and 2 */
		return 0;
	}
}

void lab_gvtg_config_reset(u8 *config)
{
	memset(config, 0, LAB_GVTG_CONFIG_BYTES);
	put_unaligned_le16(0x8086, config + PCI_VENDOR_ID);
	put_unaligned_le16(0x1616, config + PCI_DEVICE_ID);
	put_unaligned_le16(PCI_STATUS_CAP_LIST, config + PCI_STATUS);
	config[PCI_REVISION_ID] = 0x09;
	config[PCI_CLASS_PROG] = 0x00;
	put_unaligned_le16(0x0300, config + PCI_CLASS_DEVICE);
	put_unaligned_le32(PCI_BASE_ADDRESS_MEM_TYPE_64, config + PCI_BASE_ADDRESS_0);
	put_unaligned_le32(PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
			   config + PCI_BASE_ADDRESS_2);
	put_unaligned_le32(PCI_BASE_ADDRESS_SPACE_IO, config + PCI_BASE_ADDRESS_4);
	config[PCI_CAPABILITY_LIST] = MSI_AT;
	config[MSI_AT + PCI_CAP_LIST_ID] = PCI_CAP_ID_MSI;
	put_unaligned_le16(PCI_MSI_FLAGS_64BIT, config + MSI_AT + PCI_MSI_FLAGS);
}

/* The bits of the aligned dword at `offset` that a write can change. */
static u32 writable(u32 offset)
{
	switch (offset) {
	case PCI_COMMAND:
		return PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		       PCI_COMMAND_INTX_DISABLE;
	case PCI_CACHE_LINE_SIZE: /* and the latency timer */
		return 0x0000ffff;
	case PCI_BASE_ADDRESS_0:
		return ~(REGISTERS_BYTES - 1);
	case PCI_BASE_ADDRESS_2:
		return ~(APERTURE_BYTES - 1);
	case PCI_BASE_ADDRESS_1:
	case PCI_BASE_ADDRESS_3:
		return ~0u;
	case PCI_BASE_ADDRESS_4:
		return ~(PORTS_BYTES - 1) & 0xffff;
	case PCI_INTERRUPT_LINE:
		return 0x000000ff;
	case MSI_AT:
		return PCI_MSI_FLAGS_ENABLE << 16;
	case MSI_AT + PCI_MSI_ADDRESS_LO:
		return ~3u;
	case MSI_AT + PCI_MSI_ADDRESS_HI:
		return ~0u;
	case MSI_AT + PCI_MSI_DATA_64:
		return 0x0000ffff;
	default:
		return 0;
	}
}

void lab_gvtg_config_write(u8 *config, u32 offset, const u8 *bytes, u32 count)
{
	u32 i;

	for (i = 0; i < count; ++i, ++offset) {
		u8 mask = writable(offset & ~3u) >> (8 * (offset & 3));

		config[offset] = (config[offset] & ~mask) | (bytes[i] & mask);
	}
}
