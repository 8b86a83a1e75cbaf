// SPDX-License-Identifier: MIT
/* What probe_use needs: a symbol for all, and one of a namespace. */
#include <linux/module.h>
#include "probe.h"

int gokms_probe_one(void) { return 1; }
EXPORT_SYMBOL(gokms_probe_one);

int gokms_probe_two(void) { return 2; }
EXPORT_SYMBOL_NS(gokms_probe_two, GOKMS_PROBE);

MODULE_DESCRIPTION("exports symbols");
MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION("1.0");
