//! The writer of libvirt CPUs, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
