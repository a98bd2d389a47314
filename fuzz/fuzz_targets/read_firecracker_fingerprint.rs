//! The reader of Firecracker fingerprint.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
