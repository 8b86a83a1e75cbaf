// SPDX-License-Identifier: MIT
/* Uses a symbol of all kinds: of vmlinux for GPL modules only, of another module, of a namespace, and a weak one that is nowhere. */
#include <linux/ktime.h>
#include <linux/module.h>
#include "probe.h"

/* Not by its name alone: arm64's compiler would look for it in a GOT, which modules have not. */
static int (*volatile nowhere)(void) = gokms_probe_nowhere;

static int __init probe_init(void)
{
	int sum = gokms_probe_one() + gokms_probe_two();

	if (nowhere)
		sum += nowhere();
	pr_info("%d at %lld\n", sum, ktime_get());
	return 0;
}
module_init(probe_init);

static void __exit probe_exit(void)
{
}
module_exit(probe_exit);

MODULE_ALIAS("gokms-probe-a");
MODULE_ALIAS("gokms-probe-b");
MODULE_DESCRIPTION("uses symbols");
MODULE_IMPORT_NS(GOKMS_PROBE);
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
