/* SPDX-License-Identifier: MIT */
int gokms_probe_one(void);
int gokms_probe_two(void);
int gokms_probe_nowhere(void) __attribute__((weak));
int gokms_probe_mii(void);
