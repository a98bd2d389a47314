//! The writer of libvirt cpudata, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
