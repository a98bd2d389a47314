//! The reader of Firecracker MSR list.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
