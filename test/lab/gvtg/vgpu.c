// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vGPU of the stand-in: the mediated device, and the VFIO device that QEMU opens.
 *
 * Like GVT-g it is opened only by a KVM virtual machine (ESRCH), at most one by the same machine
 * (EEXIST), and has no `request` callback: `remove` of one in use waits for its user.
 */
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "lab_gvtg.h"

/* A region's index is in the upper bits of the offset in the device's file. */
#define REGION_SHIFT 40
#define REGION_MASK ((1ull << REGION_SHIFT) - 1)

static struct lab_gvtg_vgpu *to_vgpu(struct vfio_device *vdev)
{
	return container_of(vdev, struct lab_gvtg_vgpu, vdev);
}

/* Its share of the pool is taken here and given back with the last reference, not at `remove`. */
static int vgpu_init(struct vfio_device *vdev)
{
	struct lab_gvtg_vgpu *vgpu = to_vgpu(vdev);
	struct lab_gvtg_pool *pool = &lab_gvtg_pool;
	int ret = 0;

	vgpu->type = lab_gvtg_type(to_mdev_device(vdev->dev)->type);
	mutex_init(&vgpu->lock);
	lab_gvtg_config_reset(vgpu->config);

	mutex_lock(&pool->lock);
	if (pool->low_gm_mb < vgpu->type->low_gm_mb || pool->high_gm_mb < vgpu->type->high_gm_mb ||
	    pool->fences < vgpu->type->fences) {
		ret = -ENOSPC;
	} else {
		pool->low_gm_mb -= vgpu->type->low_gm_mb;
		pool->high_gm_mb -= vgpu->type->high_gm_mb;
		pool->fences -= vgpu->type->fences;
		vgpu->id = ++pool->next_id;
	}
	mutex_unlock(&pool->lock);
	return ret;
}

static void vgpu_release(struct vfio_device *vdev)
{
	struct lab_gvtg_vgpu *vgpu = to_vgpu(vdev);
	struct lab_gvtg_pool *pool = &lab_gvtg_pool;

	mutex_lock(&pool->lock);
	pool->low_gm_mb += vgpu->type->low_gm_mb;
	pool->high_gm_mb += vgpu->type->high_gm_mb;
	pool->fences += vgpu->type->fences;
	mutex_unlock(&pool->lock);
	mutex_destroy(&vgpu->lock);
	vfio_free_device(vdev);
}

static int vgpu_open(struct vfio_device *vdev)
{
	struct lab_gvtg_vgpu *vgpu = to_vgpu(vdev), *other;
	struct lab_gvtg_pool *pool = &lab_gvtg_pool;
	int ret = 0;

	if (!vdev->kvm) {
		dev_warn_ratelimited(vdev->dev, "KVM is required to use this vGPU\n");
		return -ESRCH;
	}
	mutex_lock(&pool->lock);
	list_for_each_entry(other, &pool->open, open_entry) {
		if (other->kvm == vdev->kvm)
			ret = -EEXIST;
	}
	if (ret == 0) {
		/* The reference keeps the address from being another VM's while it is compared. */
		kvm_get_kvm(vdev->kvm);
		vgpu->kvm = vdev->kvm;
		list_add(&vgpu->open_entry, &pool->open);
	}
	mutex_unlock(&pool->lock);
	return ret;
}

static void drop_msi(struct lab_gvtg_vgpu *vgpu)
{
	if (vgpu->msi)
		eventfd_ctx_put(vgpu->msi);
	vgpu->msi = NULL;
}

static void vgpu_close(struct vfio_device *vdev)
{
	struct lab_gvtg_vgpu *vgpu = to_vgpu(vdev);
	struct kvm *kvm;

	mutex_lock(&vgpu->lock);
	drop_msi(vgpu);
	lab_gvtg_config_reset(vgpu->config);
	mutex_unlock(&vgpu->lock);

	mutex_lock(&lab_gvtg_pool.lock);
	list_del(&vgpu->open_entry);
	kvm = vgpu->kvm;
	vgpu->kvm = NULL;
	mutex_unlock(&lab_gvtg_pool.lock);
	kvm_put_kvm(kvm);
}

/* Cuts `count` to what the region has left at *ppos; the region's index, or -EINVAL. */
static int locate(loff_t ppos, size_t *count, u32 *at)
{
	u32 index = ppos >> REGION_SHIFT;
	u64 offset = ppos & REGION_MASK, bytes = lab_gvtg_region_bytes(index);

	if (offset >= bytes)
		return -EINVAL;
	*count = min_t(u64, *count, bytes - offset);
	*at = offset;
	return index;
}

/* There is no GPU behind the BARs: they read as all ones, like a device that has fallen off the bus. */
static ssize_t vgpu_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *ppos)
{
	struct lab_gvtg_vgpu *vgpu = to_vgpu(vdev);
	u8 bytes[LAB_GVTG_CONFIG_BYTES];
	u32 at;
	int index;

	count = min(count, sizeof(bytes));
	index = locate(*ppos, &count, &at);
	if (index < 0)
		return index;
	memset(bytes, 0xff, count);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		mutex_lock(&vgpu->lock);
		memcpy(bytes, vgpu->config + at, count);
		mutex_unlock(&vgpu->lock);
	}
	if (copy_to_user(buf, bytes, count))
		return -EFAULT;
	*ppos += count;
	return count;
}

static ssize_t vgpu_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			  loff_t *ppos)
{
	struct lab_gvtg_vgpu *vgpu = to_vgpu(vdev);
	u8 bytes[LAB_GVTG_CONFIG_BYTES];
	u32 at;
	int index;

	count = min(count, sizeof(bytes));
	index = locate(*ppos, &count, &at);
	if (index < 0)
		return index;
	if (copy_from_user(bytes, buf, count))
		return -EFAULT;
	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		mutex_lock(&vgpu->lock);
		lab_gvtg_config_write(vgpu->config, at, bytes, count);
		mutex_unlock(&vgpu->lock);
	}
	*ppos += count;
	return count;
}

static long get_info(void __user *arg)
{
	struct vfio_device_info info;
	const size_t least = offsetofend(struct vfio_device_info, num_irqs);

	if (copy_from_user(&info, arg, least))
		return -EFAULT;
	if (info.argsz < least)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(arg, &info, least) ? -EFAULT : 0;
}

static long get_region_info(void __user *arg)
{
	struct vfio_region_info info;
	const size_t least = offsetofend(struct vfio_region_info, offset);

	if (copy_from_user(&info, arg, least))
		return -EFAULT;
	if (info.argsz < least || info.index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info.size = lab_gvtg_region_bytes(info.index);
	info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	info.offset = (u64)info.index << REGION_SHIFT;
	info.cap_offset = 0;
	return copy_to_user(arg, &info, least) ? -EFAULT : 0;
}

static u32 vectors(u32 index)
{
	return index == VFIO_PCI_MSI_IRQ_INDEX ? 1 : 0;
}

static long get_irq_info(void __user *arg)
{
	struct vfio_irq_info info;
	const size_t least = offsetofend(struct vfio_irq_info, count);

	if (copy_from_user(&info, arg, least))
		return -EFAULT;
	if (info.argsz < least || info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.count = vectors(info.index);
	info.flags = info.count ? VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE : 0;
	return copy_to_user(arg, &info, least) ? -EFAULT : 0;
}

/* The vector's eventfd is kept, and never raised: nothing here has anything to tell. */
static long set_irqs(struct lab_gvtg_vgpu *vgpu, void __user *arg)
{
	struct vfio_irq_set set;
	const size_t least = offsetofend(struct vfio_irq_set, count);
	const u32 trigger = VFIO_IRQ_SET_ACTION_TRIGGER;
	struct eventfd_ctx *event = NULL;
	s32 descriptor = -1;
	size_t data;
	int ret;

	if (copy_from_user(&set, arg, least))
		return -EFAULT;
	if (set.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	ret = vfio_set_irqs_validate_and_prepare(&set, vectors(set.index), VFIO_PCI_NUM_IRQS,
						 &data);
	if (ret)
		return ret;
	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != trigger)
		return -ENOTTY;
	/* Raising it from outside (BOOL, or NONE with a count) is not offered. */
	if ((set.flags & VFIO_IRQ_SET_DATA_BOOL) ||
	    ((set.flags & VFIO_IRQ_SET_DATA_NONE) && set.count > 0))
		return -ENOTTY;
	if (set.flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (data < sizeof(descriptor))
			return -EINVAL;
		if (copy_from_user(&descriptor, arg + least, sizeof(descriptor)))
			return -EFAULT;
		if (descriptor >= 0)
			event = eventfd_ctx_fdget(descriptor);
		if (IS_ERR(event))
			return PTR_ERR(event);
	}
	mutex_lock(&vgpu->lock);
	drop_msi(vgpu);
	vgpu->msi = event;
	mutex_unlock(&vgpu->lock);
	return 0;
}

static long vgpu_ioctl(struct vfio_device *vdev, unsigned int command, unsigned long argument)
{
	struct lab_gvtg_vgpu *vgpu = to_vgpu(vdev);
	void __user *arg = (void __user *)argument;

	switch (command) {
	case VFIO_DEVICE_GET_INFO:
		return get_info(arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return get_irq_info(arg);
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(vgpu, arg);
	case VFIO_DEVICE_RESET:
		mutex_lock(&vgpu->lock);
		lab_gvtg_config_reset(vgpu->config);
		mutex_unlock(&vgpu->lock);
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct vfio_device_ops vgpu_ops = {
	.name = "lab-gvtg",
	.init = vgpu_init,
	.release = vgpu_release,
	.open_device = vgpu_open,
	.close_device = vgpu_close,
	.read = vgpu_read,
	.write = vgpu_write,
	.ioctl = vgpu_ioctl,
};

static int vgpu_probe(struct mdev_device *mdev)
{
	struct lab_gvtg_vgpu *vgpu;
	int ret;

	vgpu = vfio_alloc_device(lab_gvtg_vgpu, vdev, mdev_dev(mdev), &vgpu_ops);
	if (IS_ERR(vgpu))
		return PTR_ERR(vgpu);
	dev_set_drvdata(mdev_dev(mdev), vgpu);
	ret = vfio_register_emulated_iommu_dev(&vgpu->vdev);
	if (ret)
		vfio_put_device(&vgpu->vdev);
	return ret;
}

static void vgpu_remove(struct mdev_device *mdev)
{
	struct lab_gvtg_vgpu *vgpu = dev_get_drvdata(mdev_dev(mdev));

	vfio_unregister_group_dev(&vgpu->vdev); /* waits for its user */
	vfio_put_device(&vgpu->vdev);
}

static unsigned int get_available(struct mdev_type *mdev)
{
	const struct lab_gvtg_type *type = lab_gvtg_type(mdev);
	struct lab_gvtg_pool *pool = &lab_gvtg_pool;
	unsigned int left;

	mutex_lock(&pool->lock);
	left = min3(pool->low_gm_mb / type->low_gm_mb, pool->high_gm_mb / type->high_gm_mb,
		    pool->fences / type->fences);
	mutex_unlock(&pool->lock);
	return left;
}

static ssize_t show_description(struct mdev_type *mdev, char *buf)
{
	const struct lab_gvtg_type *type = lab_gvtg_type(mdev);

	return sysfs_emit(buf,
			  "low_gm_size: %uMB\nhigh_gm_size: %uMB\nfence: %u\nresolution: %s\n"
			  "weight: %u\n",
			  type->low_gm_mb, type->high_gm_mb, type->fences, type->resolution,
			  type->weight);
}

static ssize_t vgpu_id_show(struct device *dev, struct device_attribute *attribute, char *buf)
{
	struct lab_gvtg_vgpu *vgpu = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%u\n", vgpu->id);
}
static DEVICE_ATTR_RO(vgpu_id);

static struct attribute *vgpu_attributes[] = { &dev_attr_vgpu_id.attr, NULL };
static const struct attribute_group vgpu_group = {
	.name = "intel_vgpu",
	.attrs = vgpu_attributes,
};
static const struct attribute_group *vgpu_groups[] = { &vgpu_group, NULL };

struct mdev_driver lab_gvtg_mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = vgpu_probe,
	.remove = vgpu_remove,
	.get_available = get_available,
	.show_description = show_description,
	.driver = {
		.name = "intel_vgpu_mdev",
		.owner = THIS_MODULE,
		.dev_groups = vgpu_groups,
	},
};
