// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stand-in's GPU driver: takes the lab's GPU as i915 takes Intel's, and offers vGPUs on it.
 *
 * It is named i915 because the kernel makes the names of a parent's types out of its driver's:
 * i915-GVTg_V4_8. What it really is stands in /sys/bus/pci/drivers/i915/stand_in.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "lab_gvtg.h"

/* Together they give the walkthrough's figures: seven of i915-GVTg_V4_8. */
static unsigned int aperture_mb = 1024;
module_param(aperture_mb, uint, 0444);
MODULE_PARM_DESC(aperture_mb, "low graphics memory (MB), the host's 128 included");
static unsigned int ggtt_mb = 4096;
module_param(ggtt_mb, uint, 0444);
MODULE_PARM_DESC(ggtt_mb, "all graphics memory (MB), aperture and the host's 384 of high memory included");
static unsigned int fences = 32;
module_param(fences, uint, 0444);
MODULE_PARM_DESC(fences, "fence registers, the host's 4 included");

#define HOST_LOW_GM_MB 128
#define HOST_HIGH_GM_MB 384
#define HOST_FENCES 4

struct lab_gvtg_pool lab_gvtg_pool = {
	.lock = __MUTEX_INITIALIZER(lab_gvtg_pool.lock),
	.open = LIST_HEAD_INIT(lab_gvtg_pool.open),
};

#define TYPE(name, low, high, pixels, share)                                                       \
	{                                                                                          \
		.mdev.sysfs_name = (name), .low_gm_mb = (low), .high_gm_mb = (high), .fences = 4,  \
		.resolution = (pixels), .weight = (share)                                          \
	}
static const struct lab_gvtg_type kinds[] = {
	TYPE("GVTg_V4_1", 512, 2048, "1920x1200", 16),
	TYPE("GVTg_V4_2", 256, 1024, "1920x1200", 8),
	TYPE("GVTg_V4_4", 128, 512, "1920x1200", 4),
	TYPE("GVTg_V4_8", 64, 384, "1024x768", 2),
};

/*
 * What a GPU offers while the driver is on it. Made anew each time: mdev keeps its own state in the types
 * and takes none that were registered before. The pool is one for all, as the lab has one GPU.
 */
struct gpu {
	struct mdev_parent parent;
	struct lab_gvtg_type types[ARRAY_SIZE(kinds)];
	struct mdev_type *offered[ARRAY_SIZE(kinds)];
};

static int gpu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct gpu *gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);
	unsigned int i;
	int ret;

	if (!gpu)
		return -ENOMEM;
	memcpy(gpu->types, kinds, sizeof(kinds));
	for (i = 0; i < ARRAY_SIZE(kinds); ++i)
		gpu->offered[i] = &gpu->types[i].mdev;
	ret = mdev_register_parent(&gpu->parent, &pdev->dev, &lab_gvtg_mdev_driver, gpu->offered,
				   ARRAY_SIZE(kinds));
	if (ret) {
		kfree(gpu);
		return ret;
	}
	pci_set_drvdata(pdev, gpu);
	dev_info(&pdev->dev, "lab stand-in for Intel GVT-g: no Intel GPU, vGPUs with nothing behind their BARs\n");
	return 0;
}

static void gpu_remove(struct pci_dev *pdev)
{
	struct gpu *gpu = pci_get_drvdata(pdev);

	mdev_unregister_parent(&gpu->parent); /* waits for users of its vGPUs */
	kfree(gpu);
}

/* QEMU's standard VGA, which the lab has at 0000:00:02.0. */
static const struct pci_device_id gpu_ids[] = { { PCI_DEVICE(0x1234, 0x1111) }, {} };
/* No MODULE_DEVICE_TABLE: it is loaded by name alone, and never instead of the GPU's own driver. */

static struct pci_driver gpu_driver = {
	.name = "i915",
	.id_table = gpu_ids,
	.probe = gpu_probe,
	.remove = gpu_remove,
};

static ssize_t stand_in_show(struct device_driver *driver, char *buf)
{
	return sysfs_emit(buf, "lab_gvtg: the lab's stand-in for Intel GVT-g, no Intel GPU\n");
}
static DRIVER_ATTR_RO(stand_in);

static int __init lab_gvtg_init(void)
{
	int ret;

	if (aperture_mb < HOST_LOW_GM_MB || ggtt_mb < aperture_mb ||
	    ggtt_mb - aperture_mb < HOST_HIGH_GM_MB || fences < HOST_FENCES)
		return -EINVAL;
	lab_gvtg_pool.low_gm_mb = aperture_mb - HOST_LOW_GM_MB;
	lab_gvtg_pool.high_gm_mb = ggtt_mb - aperture_mb - HOST_HIGH_GM_MB;
	lab_gvtg_pool.fences = fences - HOST_FENCES;

	ret = mdev_register_driver(&lab_gvtg_mdev_driver);
	if (ret)
		return ret;
	ret = pci_register_driver(&gpu_driver);
	if (ret)
		goto no_driver;
	ret = driver_create_file(&gpu_driver.driver, &driver_attr_stand_in);
	if (ret)
		goto no_file;
	return 0;
no_file:
	pci_unregister_driver(&gpu_driver);
no_driver:
	mdev_unregister_driver(&lab_gvtg_mdev_driver);
	return ret;
}

static void __exit lab_gvtg_exit(void)
{
	driver_remove_file(&gpu_driver.driver, &driver_attr_stand_in);
	pci_unregister_driver(&gpu_driver);
	mdev_unregister_driver(&lab_gvtg_mdev_driver);
}

module_init(lab_gvtg_init);
module_exit(lab_gvtg_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The kata-vfio lab's stand-in for Intel GVT-g; drives no Intel GPU");
