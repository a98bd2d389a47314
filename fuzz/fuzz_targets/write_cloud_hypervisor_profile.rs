//! The writer of Cloud Hypervisor profile, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
