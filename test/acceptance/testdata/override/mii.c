// SPDX-License-Identifier: MIT
/* Has the name of a module of Linux. */
#include <linux/module.h>

static int __init mii_init(void)
{
	return 0;
}
module_init(mii_init);

static void __exit mii_exit(void)
{
}
module_exit(mii_exit);

MODULE_DESCRIPTION("in the place of Linux's own");
MODULE_LICENSE("GPL");
MODULE_VERSION("2.0");
