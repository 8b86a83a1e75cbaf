#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# The debhelper sequence "gokms": dh SEQUENCE --with gokms, or Build-Depends on
# dh-sequence-gokms.
use strict;
use warnings;
use Debian::Debhelper::Dh_Lib;

insert_before("dh_installinit", "dh_gokms");
insert_after("dh_builddeb", "dh_gokms_modules");

1;
