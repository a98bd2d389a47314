//! The reader of kcpuid -r.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
