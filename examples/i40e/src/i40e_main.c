// SPDX-License-Identifier: GPL-2.0-only OR MIT
// Copyright (c) 2026 The gokms authors

/*
 * A stand-in for Intel's i40e: it has the name, the version and the device
 * table of a driver for the XXV710, and leaves every device alone.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/errno.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "i40e.h"

static int i40e_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	dev_dbg(&pdev->dev, "declining %s\n", i40e_device_name(id));
	return -ENODEV;
}

static struct pci_driver i40e_driver = {
	.name = KBUILD_MODNAME,
	.id_table = i40e_pci_tbl,
	.probe = i40e_probe,
};

static int __init i40e_init(void)
{
	pr_info("gokms example, version " I40E_VERSION ", drives no device\n");
	return pci_register_driver(&i40e_driver);
}
module_init(i40e_init);

static void __exit i40e_exit(void)
{
	pci_unregister_driver(&i40e_driver);
}
module_exit(i40e_exit);

MODULE_DESCRIPTION("gokms example: an i40e that drives no device");
MODULE_AUTHOR("The gokms authors");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION(I40E_VERSION);
