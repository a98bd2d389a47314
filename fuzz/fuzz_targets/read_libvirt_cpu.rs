//! The reader of libvirt CPU.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
