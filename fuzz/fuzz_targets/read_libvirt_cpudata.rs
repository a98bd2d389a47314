//! The reader of libvirt cpudata.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
