//! The reader of Firecracker template.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
