//! The reader of Cloud Hypervisor profile.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
