// SPDX-License-Identifier: MIT
/* Exports symbols of each kind, for the tests of pkg/kmod. */
#include <linux/module.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#define GOKMS_NS "GOKMS"
#else
#define GOKMS_NS GOKMS
#endif

int gokms_plain(int x);
int gokms_gpl(int x);
int gokms_in_namespace(int x);
int gokms_gpl_in_namespace(int x);

int gokms_plain(int x)
{
	return x + 1;
}
EXPORT_SYMBOL(gokms_plain);

int gokms_gpl(int x)
{
	return x + 2;
}
EXPORT_SYMBOL_GPL(gokms_gpl);

int gokms_in_namespace(int x)
{
	return x + 3;
}
EXPORT_SYMBOL_NS(gokms_in_namespace, GOKMS_NS);

int gokms_gpl_in_namespace(int x)
{
	return x + 4;
}
EXPORT_SYMBOL_NS_GPL(gokms_gpl_in_namespace, GOKMS_NS);

MODULE_LICENSE("Dual MIT/GPL");
