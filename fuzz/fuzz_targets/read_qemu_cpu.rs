//! The reader of QEMU -cpu.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
