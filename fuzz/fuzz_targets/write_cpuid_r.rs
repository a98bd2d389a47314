//! The writer of cpuid -r, and its reader.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
