//! The writer of QEMU -cpu, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
