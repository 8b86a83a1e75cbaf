// SPDX-License-Identifier: GPL-2.0-only OR MIT
// Copyright (c) 2026 The gokms authors

#include <linux/module.h>

#include "i40e.h"

const struct pci_device_id i40e_pci_tbl[] = {
	{ PCI_VDEVICE(INTEL, I40E_DEV_ID_25G_B) },
	{ PCI_VDEVICE(INTEL, I40E_DEV_ID_25G_SFP28) },
	{ }
};
MODULE_DEVICE_TABLE(pci, i40e_pci_tbl);

const char *i40e_device_name(const struct pci_device_id *id)
{
	switch (id->device) {
	case I40E_DEV_ID_25G_B:
		return "XXV710 25GbE backplane";
	case I40E_DEV_ID_25G_SFP28:
		return "XXV710 25GbE SFP28";
	}
	return "unknown device";	/* added through new_id in sysfs */
}
