/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copyright (c) 2026 The gokms authors */

#ifndef I40E_H
#define I40E_H

#include <linux/pci.h>

#define I40E_VERSION		"2.4.6"

/* Intel's XXV710, vendor 8086 */
#define I40E_DEV_ID_25G_B	0x158A	/* backplane */
#define I40E_DEV_ID_25G_SFP28	0x158B

extern const struct pci_device_id i40e_pci_tbl[];

const char *i40e_device_name(const struct pci_device_id *id);

#endif /* I40E_H */
