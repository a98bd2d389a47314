//! Words to CPU models.
#![cfg_attr(fuzzing, no_main)]

vcpu_fuzz::target!();
