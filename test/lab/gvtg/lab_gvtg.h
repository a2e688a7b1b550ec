/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lab's stand-in for Intel GVT-g: what its three sources share. README.md says what it stands in
 * for and what it has not got.
 */
#ifndef LAB_GVTG_H
#define LAB_GVTG_H

#include <linux/eventfd.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/vfio.h>

#define LAB_GVTG_CONFIG_BYTES 256

/* One vGPU type. Figures of GVT-g's Broadwell types. */
struct lab_gvtg_type {
	struct mdev_type mdev; /* sysfs_name: what follows "i915-" */
	u32 low_gm_mb;
	u32 high_gm_mb;
	u32 fences;
	u32 weight;
	const char *resolution;
};

/*
 * The graphics memory and fences that all types share, in the same units as the types. All fields
 * are guarded by the lock; it also guards the list of vGPUs that are open, and nests inside the
 * locks of VFIO and mdev.
 */
struct lab_gvtg_pool {
	struct mutex lock;
	u32 low_gm_mb;
	u32 high_gm_mb;
	u32 fences;
	struct list_head open;
	u32 next_id;
};

extern struct lab_gvtg_pool lab_gvtg_pool;

/* One vGPU. It lives from `create` until the last user of its VFIO device has gone. */
struct lab_gvtg_vgpu {
	struct vfio_device vdev;
	const struct lab_gvtg_type *type;
	u32 id;
	struct list_head open_entry;
	/* The VM that has it open, NULL while nobody has; holds a reference. */
	struct kvm *kvm;

	struct mutex lock; /* the members below */
	u8 config[LAB_GVTG_CONFIG_BYTES];
	struct eventfd_ctx *msi;
};

static inline const struct lab_gvtg_type *lab_gvtg_type(struct mdev_type *mdev)
{
	return container_of(mdev, struct lab_gvtg_type, mdev);
}

/* vgpu.c: the driver of the mediated devices. */
extern struct mdev_driver lab_gvtg_mdev_driver;

/* config_space.c: a Broadwell GPU's configuration space, as far as firmware and PCI cores look. */
void lab_gvtg_config_reset(u8 *config);
/* Takes `count` bytes of the guest's at `offset`; what is read-only stays as it is. */
void lab_gvtg_config_write(u8 *config, u32 offset, const u8 *bytes, u32 count);
/* The size of region `index` of VFIO_PCI_*_REGION_INDEX, 0 for one that is not there. */
u64 lab_gvtg_region_bytes(u32 index);

#endif
