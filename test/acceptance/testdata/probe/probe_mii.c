// SPDX-License-Identifier: MIT
/* Uses a symbol of Linux's own module mii, and exports one. */
#include <linux/mii.h>
#include <linux/module.h>
#include "probe.h"

int gokms_probe_mii(void) { return mii_link_ok(NULL); }
EXPORT_SYMBOL(gokms_probe_mii);

MODULE_DESCRIPTION("uses mii");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0");
