// SPDX-License-Identifier: MIT
/* Is compiled without what x86's kernels mitigate. */
#include <linux/module.h>

static int (*volatile probe_call)(const char *, ...) = _printk;

static int __init probe_init(void)
{
	probe_call("probe_plain\n");
	return 0;
}
module_init(probe_init);

static void __exit probe_exit(void)
{
}
module_exit(probe_exit);

MODULE_DESCRIPTION("without mitigations");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
