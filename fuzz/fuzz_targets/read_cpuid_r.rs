//! The reader of cpuid -r.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
