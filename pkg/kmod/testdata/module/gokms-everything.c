// SPDX-License-Identifier: MIT
/* Has every kind of .modinfo field, for the tests of pkg/kmod. */
#include <linux/firmware.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/version.h>

int gokms_plain(int x);
int gokms_gpl_in_namespace(int x);
int gokms_nobody_has_this(int x) __attribute__((weak));

static int count = 3;
module_param(count, int, 0444);
MODULE_PARM_DESC(count, "how many: 0 = none, \"3\" = the default");

static char *mode = "plain";
module_param(mode, charp, 0644);
MODULE_PARM_DESC(mode, "first line\n\tsecond line");

static bool silent; /* has no description */
module_param(silent, bool, 0);

static unsigned long sizes[4];
static int sizes_given;
module_param_array(sizes, ulong, &sizes_given, 0444);
MODULE_PARM_DESC(sizes, "");

/* A description without a parameter. */
MODULE_PARM_DESC(ghost, "not a parameter");

static const struct pci_device_id gokms_ids[] = {
	{ PCI_DEVICE(0x1234, 0x5678) },
	{ PCI_DEVICE_CLASS(0x0c0330, 0xffffff) },
	{ }
};
MODULE_DEVICE_TABLE(pci, gokms_ids);

static int __init gokms_start(void)
{
	void *p = kmalloc(gokms_plain(count) + gokms_gpl_in_namespace(1), GFP_KERNEL);

	pr_info("%s %d %d\n", mode, silent, sizes_given);
	kfree(p);
	if (&gokms_nobody_has_this)
		return gokms_nobody_has_this(1);
	return -ENODEV;
}

static void __exit gokms_stop(void)
{
}

module_init(gokms_start);
module_exit(gokms_stop);

MODULE_AUTHOR("Ada Example <ada@example.org>");
MODULE_AUTHOR("Bj\303\266rn M\303\274ller = \"both\"");
MODULE_AUTHOR("");
MODULE_DESCRIPTION("Gr\303\274\303\237e, \346\227\245\346\234\254: a = b; it's 100 %");
MODULE_LICENSE("GPL v2");
MODULE_VERSION("1.2.3-rc4 (beta)");
MODULE_ALIAS("gokms:one");
MODULE_ALIAS("gokms:t*o?[ab]");
MODULE_FIRMWARE("gokms/one.bin");
MODULE_FIRMWARE("gokms/two words.bin");
MODULE_SOFTDEP("pre: gokms_a post: gokms_b gokms_c");
MODULE_INFO(gokms_odd, "x=y=z");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("GOKMS");
#else
MODULE_IMPORT_NS(GOKMS);
#endif
