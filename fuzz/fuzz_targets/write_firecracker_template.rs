//! The writer of Firecracker template, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
